"""The dictionary: attributes that may stand in a reply or that are shown, with their kinds and named values.

Pure data, and one table for the whole project: the database's `net.dictionary_attribute` holds the same rows. Facts
of RFC 2865, 2866, 2868, 2869, 3162, 3576, 3580, 4372, 4675, 4679, 4818, 4849, 6911 and of the vendors' dictionaries.
It encodes nothing.

What the server sets itself (from a column of a plan, a login or a branch), what only requests and accounting carry,
what is hidden with the shared secret, and what is a key or password, is shown only; the rest may be given as an
extra attribute.
"""

from collections.abc import Iterator
from typing import NamedTuple


class DictionaryAttribute(NamedTuple):
    """One attribute. Names are compared without regard to case."""

    name: str
    vendor: int  # IANA's number, 0: an attribute of the RFCs
    code: int
    kind: str  # one of KINDS
    may_be_given: bool  # as an extra attribute of a plan or login
    values: dict[str, int]  # where a number has several names, the first one is shown


_PLAIN_KINDS = ("string", "integer", "ipaddr", "ipv6addr", "ipv6prefix", "octets", "ifid", "date")
KINDS = (*_PLAIN_KINDS, "tagged_string", "tagged_integer")

VENDORS = {
    9: "Cisco",
    311: "Microsoft",
    529: "Ascend",
    2011: "Huawei",
    2352: "Redback",
    3561: "ADSL-Forum",
    4874: "ERX",
    14122: "WISPr",
    14988: "Mikrotik",
}

# One line for each attribute: code, name, kind, then the named values; a line without a code goes on with values.

_STANDARD_GIVEN = """
9 Framed-IP-Netmask ipaddr
10 Framed-Routing integer None=0 Broadcast=1 Listen=2 Broadcast-Listen=3
11 Filter-Id string
12 Framed-MTU integer
13 Framed-Compression integer None=0 Van-Jacobson-TCP-IP=1 IPX-Header-Compression=2 Stac-LZS=3
18 Reply-Message string
19 Callback-Number string
20 Callback-Id string
22 Framed-Route string
29 Termination-Action integer Default=0 RADIUS-Request=1
56 Egress-VLANID integer
57 Ingress-Filters integer Enabled=1 Disabled=2
58 Egress-VLAN-Name string
59 User-Priority-Table octets
62 Port-Limit integer
64 Tunnel-Type tagged_integer PPTP=1 L2F=2 L2TP=3 ATMP=4 VTP=5 AH=6 IP=7 MIN-IP=8 ESP=9 GRE=10 DVS=11 IP-in-IP=12
    VLAN=13
65 Tunnel-Medium-Type tagged_integer IP=1 IPv4=1 IPv6=2 NSAP=3 HDLC=4 BBN-1822=5 IEEE-802=6 E.163=7 E.164=8 F.69=9
    X.121=10 IPX=11 Appletalk=12 DecNet-IV=13 Banyan-Vines=14 E.164-NSAP=15
66 Tunnel-Client-Endpoint tagged_string
67 Tunnel-Server-Endpoint tagged_string
78 Configuration-Token string
81 Tunnel-Private-Group-Id tagged_string
82 Tunnel-Assignment-Id tagged_string
83 Tunnel-Preference tagged_integer
89 Chargeable-User-Identity octets
90 Tunnel-Client-Auth-Id tagged_string
91 Tunnel-Server-Auth-Id tagged_string
92 NAS-Filter-Rule string
96 Framed-Interface-Id ifid
99 Framed-IPv6-Route string
168 Framed-IPv6-Address ipv6addr
169 DNS-Server-IPv6-Address ipv6addr
170 Route-IPv6-Information ipv6prefix
"""

_STANDARD_SHOWN = """
1 User-Name string
2 User-Password string
3 CHAP-Password octets
4 NAS-IP-Address ipaddr
5 NAS-Port integer
6 Service-Type integer Login-User=1 Framed-User=2 Callback-Login-User=3 Callback-Framed-User=4 Outbound-User=5
    Administrative-User=6 NAS-Prompt-User=7 Authenticate-Only=8 Callback-NAS-Prompt=9 Call-Check=10
    Callback-Administrative=11 Authorize-Only=17
7 Framed-Protocol integer PPP=1 SLIP=2 ARAP=3 Gandalf-SLML=4 Xylogics-IPX-SLIP=5 X.75-Synchronous=6
8 Framed-IP-Address ipaddr
24 State octets
25 Class octets
27 Session-Timeout integer
28 Idle-Timeout integer
30 Called-Station-Id string
31 Calling-Station-Id string
32 NAS-Identifier string
33 Proxy-State octets
40 Acct-Status-Type integer Start=1 Stop=2 Alive=3 Interim-Update=3 Accounting-On=7 Accounting-Off=8 Failed=15
41 Acct-Delay-Time integer
42 Acct-Input-Octets integer
43 Acct-Output-Octets integer
44 Acct-Session-Id string
45 Acct-Authentic integer RADIUS=1 Local=2 Remote=3 Diameter=4
46 Acct-Session-Time integer
47 Acct-Input-Packets integer
48 Acct-Output-Packets integer
49 Acct-Terminate-Cause integer User-Request=1 Lost-Carrier=2 Lost-Service=3 Idle-Timeout=4 Session-Timeout=5
    Admin-Reset=6 Admin-Reboot=7 Port-Error=8 NAS-Error=9 NAS-Request=10 NAS-Reboot=11 Port-Unneeded=12
    Port-Preempted=13 Port-Suspended=14 Service-Unavailable=15 Callback=16 User-Error=17 Host-Request=18
    Supplicant-Restart=19 Reauthentication-Failure=20 Port-Reinit=21 Port-Disabled=22
50 Acct-Multi-Session-Id string
51 Acct-Link-Count integer
52 Acct-Input-Gigawords integer
53 Acct-Output-Gigawords integer
55 Event-Timestamp date
60 CHAP-Challenge octets
61 NAS-Port-Type integer Async=0 Sync=1 ISDN=2 ISDN-V120=3 ISDN-V110=4 Virtual=5 PIAFS=6 HDLC-Clear-Channel=7
    X.25=8 X.75=9 G.3-Fax=10 SDSL=11 ADSL-CAP=12 ADSL-DMT=13 IDSL=14 Ethernet=15 xDSL=16 Cable=17
    Wireless-Other=18 Wireless-802.11=19 Token-Ring=20 FDDI=21
69 Tunnel-Password tagged_string
77 Connect-Info string
79 EAP-Message octets
80 Message-Authenticator octets
85 Acct-Interim-Interval integer
87 NAS-Port-Id string
88 Framed-Pool string
95 NAS-IPv6-Address ipv6addr
97 Framed-IPv6-Prefix ipv6prefix
100 Framed-IPv6-Pool string
101 Error-Cause integer Invalid-Attribute-Value=407 Multiple-Session-Selection-Unsupported=508
    Residual-Context-Removed=201 Invalid-EAP-Packet=202 Unsupported-Attribute=401 Missing-Attribute=402
    NAS-Identification-Mismatch=403 Invalid-Request=404 Unsupported-Service=405 Unsupported-Extension=406
    Administratively-Prohibited=501 Proxy-Request-Not-Routable=502 Session-Context-Not-Found=503
    Session-Context-Not-Removable=504 Proxy-Processing-Error=505 Resources-Unavailable=506 Request-Initiated=507
123 Delegated-IPv6-Prefix ipv6prefix
171 Delegated-IPv6-Prefix-Pool string
172 Stateful-IPv6-Address-Pool string
"""

_MICROSOFT_GIVEN = """
13 MS-BAP-Usage integer Not-Allowed=0 Allowed=1 Required=2
14 MS-Link-Utilization-Threshold integer
15 MS-Link-Drop-Time-Limit integer
22 MS-Filter octets
30 MS-Primary-NBNS-Server ipaddr
31 MS-Secondary-NBNS-Server ipaddr
"""

_MICROSOFT_SHOWN = """
1 MS-CHAP-Response octets
2 MS-CHAP-Error string
7 MS-MPPE-Encryption-Policy integer Encryption-Allowed=1 Encryption-Required=2
8 MS-MPPE-Encryption-Type integer
9 MS-RAS-Vendor integer
10 MS-CHAP-Domain string
11 MS-CHAP-Challenge octets
12 MS-CHAP-MPPE-Keys octets
16 MS-MPPE-Send-Key octets
17 MS-MPPE-Recv-Key octets
18 MS-RAS-Version string
23 MS-Acct-Auth-Type integer PAP=1 CHAP=2 MS-CHAP-1=3 MS-CHAP-2=4 EAP=5
24 MS-Acct-EAP-Type integer MD5=4 OTP=5 Generic-Token-Card=6 TLS=13
25 MS-CHAP2-Response octets
26 MS-CHAP2-Success octets
28 MS-Primary-DNS-Server ipaddr
29 MS-Secondary-DNS-Server ipaddr
34 MS-RAS-Client-Name string
35 MS-RAS-Client-Version string
"""

_MIKROTIK_GIVEN = """
1 Mikrotik-Recv-Limit integer
2 Mikrotik-Xmit-Limit integer
4 Mikrotik-Wireless-Forward integer
5 Mikrotik-Wireless-Skip-Dot1x integer
6 Mikrotik-Wireless-Enc-Algo integer No-encryption=0 40-bit-WEP=1 104-bit-WEP=2 AES-CCM=3 TKIP=4
11 Mikrotik-Mark-Id string
12 Mikrotik-Advertise-URL string
13 Mikrotik-Advertise-Interval integer
14 Mikrotik-Recv-Limit-Gigawords integer
15 Mikrotik-Xmit-Limit-Gigawords integer
17 Mikrotik-Total-Limit integer
18 Mikrotik-Total-Limit-Gigawords integer
19 Mikrotik-Address-List string
21 Mikrotik-Wireless-Comment string
23 Mikrotik-DHCP-Option-Set string
24 Mikrotik-DHCP-Option-Param-STR1 string
25 Mikrotik-DHCP-Option-Param-STR2 string
26 Mikrotik-Wireless-VLANID integer
27 Mikrotik-Wireless-VLANIDtype integer 802.1q=0 802.1ad=1
28 Mikrotik-Wireless-Minsignal string
29 Mikrotik-Wireless-Maxsignal string
30 Mikrotik-Switching-Filter string
"""

_MIKROTIK_SHOWN = """
3 Mikrotik-Group string
7 Mikrotik-Wireless-Enc-Key string
8 Mikrotik-Rate-Limit string
9 Mikrotik-Realm string
10 Mikrotik-Host-IP ipaddr
16 Mikrotik-Wireless-PSK string
20 Mikrotik-Wireless-MPKey string
22 Mikrotik-Delegated-IPv6-Pool string
"""

_WISPR_GIVEN = """
4 WISPr-Redirection-URL string
5 WISPr-Bandwidth-Min-Up integer
6 WISPr-Bandwidth-Min-Down integer
7 WISPr-Bandwidth-Max-Up integer
8 WISPr-Bandwidth-Max-Down integer
9 WISPr-Session-Terminate-Time string
10 WISPr-Session-Terminate-End-Of-Day string
11 WISPr-Billing-Class-Of-Service string
"""

_WISPR_SHOWN = """
1 WISPr-Location-ID string
2 WISPr-Location-Name string
3 WISPr-Logoff-URL string
"""

_ASCEND_GIVEN = """
132 Ascend-Client-Gateway ipaddr
135 Ascend-Client-Primary-DNS ipaddr
136 Ascend-Client-Secondary-DNS ipaddr
137 Ascend-Client-Assign-DNS integer DNS-Assign-No=0 DNS-Assign-Yes=1
197 Ascend-Data-Rate integer
255 Ascend-Xmit-Rate integer
"""

_CISCO_GIVEN = """
1 Cisco-AVPair string
37 Cisco-Policy-Up string
38 Cisco-Policy-Down string
51 Cisco-Service-Name string
55 Cisco-Sub-QoS-Pol-In string
56 Cisco-Sub-QoS-Pol-Out string
59 Cisco-Sub-PBR-Policy-In string
60 Cisco-Sub-Activate-Service string
63 Cisco-Sub-Deactivate-Service string
250 Cisco-Account-Info string
251 Cisco-Service-Info string
252 Cisco-Command-Code string
253 Cisco-Control-Info string
"""

_CISCO_SHOWN = """
2 Cisco-NAS-Port string
"""

_HUAWEI_GIVEN = """
1 Huawei-Input-Burst-Size integer
2 Huawei-Input-Average-Rate integer
3 Huawei-Input-Peak-Rate integer
4 Huawei-Output-Burst-Size integer
5 Huawei-Output-Average-Rate integer
6 Huawei-Output-Peak-Rate integer
15 Huawei-Remanent-Volume integer
17 Huawei-ISP-ID string
20 Huawei-Command integer
22 Huawei-Priority integer
27 Huawei-PortalURL string
29 Huawei-Exec-Privilege integer
31 Huawei-Qos-Profile-Name string
37 Huawei-IGMP-Enable integer
61 Huawei-Up-Priority integer
62 Huawei-Down-Priority integer
63 Huawei-Tunnel-VPN-Instance string
66 Huawei-User-Class string
72 Huawei-Subnet-Mask ipaddr
73 Huawei-Gateway-Address ipaddr
77 Huawei-Input-Peak-Burst-Size integer
78 Huawei-Output-Peak-Burst-Size integer
81 Huawei-Zone-Name string
82 Huawei-Data-Filter string
83 Huawei-Access-Service string
84 Huawei-Accounting-Level integer
85 Huawei-Portal-Mode integer PADM=0 Redirectional=1 Non-captive=2
86 Huawei-DPI-Policy-Name string
87 Huawei-Policy-Route ipaddr
88 Huawei-Framed-Pool string
91 Huawei-Queue-Profile string
93 Huawei-Multicast-Profile string
94 Huawei-VPN-Instance string
95 Huawei-Policy-Name string
96 Huawei-Tunnel-Group-Name string
99 Huawei-User-Multicast-Type integer
100 Huawei-Reduced-PIR integer
135 Huawei-Primary-DNS ipaddr
136 Huawei-Secondary-DNS ipaddr
138 Huawei-Domain-Name string
140 Huawei-HTTP-Redirect-URL string
142 Huawei-QoS-Profile-Type integer Original=0 L2TP-Inbound=1 L2TP-Outbound=2 L2TP=3
154 Huawei-DNS-Server-IPv6-address ipv6addr
155 Huawei-DHCPv4-Option121 string
156 Huawei-DHCPv4-Option43 string
157 Huawei-Framed-Pool-Group string
160 Huawei-NAT-Policy-Name string
182 Huawei-Down-QOS-Profile-Name string
183 Huawei-Port-Mirror integer Disable=0 Uplink-Enable=1 Downlink-Enable=2 Enable=3
184 Huawei-Account-Info string
185 Huawei-Service-Info string
188 Huawei-AVpair string
"""

_HUAWEI_SHOWN = """
24 Huawei-Control-Identifier integer
25 Huawei-Result-Code integer Succeeded=0
26 Huawei-Connect-ID integer
153 Huawei-User-Mac string
158 Huawei-Framed-IPv6-Address ipv6addr
161 Huawei-NAT-Public-Address ipaddr
162 Huawei-NAT-Start-Port integer
163 Huawei-NAT-End-Port integer
165 Huawei-NAT-Port-Range-Update integer
168 Huawei-Public-IP-Addr-State integer Safe=0 Warning=1 Danger=2
180 Huawei-Auth-Type integer PPP=1 Web=2 Dot1x=3 Fast=4 Bind=5 WLAN=6 Administrative=7 Tunnel=8 MIP=9 None=10
191 Huawei-Delegated-IPv6-Prefix-Pool string
211 Huawei-Flow-Info string
254 Huawei-Version string
255 Huawei-Product-ID string
"""

_ERX_GIVEN = """
1 ERX-Virtual-Router-Name string
2 ERX-Address-Pool-Name string
3 ERX-Local-Loopback-Interface string
4 ERX-Primary-Dns ipaddr
5 ERX-Secondary-Dns ipaddr
10 ERX-Ingress-Policy-Name string
11 ERX-Egress-Policy-Name string
12 ERX-Ingress-Statistics integer disable=0 enable=1
13 ERX-Egress-Statistics integer disable=0 enable=1
22 ERX-Sa-Validate integer disable=0 enable=1
23 ERX-Igmp-Enable integer disable=0 enable=1
25 ERX-Redirect-VR-Name string
26 ERX-Qos-Profile-Name string
27 ERX-Pppoe-Max-Sessions integer
28 ERX-Pppoe-Url string
31 ERX-Service-Bundle string
45 ERX-IpV6-Virtual-Router string
47 ERX-Ipv6-Primary-Dns ipv6addr
48 ERX-Ipv6-Secondary-Dns ipv6addr
53 ERX-Service-Description string
55 ERX-Dhcp-Options octets
63 ERX-Interface-Desc string
65 ERX-Service-Activate tagged_string
66 ERX-Service-Deactivate string
67 ERX-Service-Volume tagged_integer
68 ERX-Service-Timeout tagged_integer
69 ERX-Service-Statistics tagged_integer disabled=0 time=1 time-volume=2
71 ERX-IGMP-Access-Name string
77 ERX-MLD-Version integer v1=1 v2=2
78 ERX-IGMP-Version integer v1=1 v2=2 v3=3
82 ERX-Qos-Parameters string
83 ERX-Service-Session string
101 ERX-IP-Block-Multicast integer disabled=0 enabled=1
106 ERX-IPv6-Ingress-Policy-Name string
107 ERX-IPv6-Egress-Policy-Name string
108 ERX-CoS-Shaping-Pmt-Type string
109 ERX-DHCP-Guided-Relay-Server ipaddr
130 ERX-Qos-Set-Name string
140 ERX-Service-Acct-Interval tagged_integer
143 ERX-Max-Clients-Per-Interface integer
146 ERX-CoS-Scheduler-Pmt-Type string
147 ERX-Backup-Address-Pool string
157 ERX-IPv6-NdRa-Pool-Name string
158 ERX-PppoE-Padn string
174 ERX-Client-Profile-Name string
177 ERX-Cos-Shaping-Rate string
191 ERX-Input-Interface-Filter string
192 ERX-Output-Interface-Filter string
196 ERX-IPv4-Input-Service-Set string
197 ERX-IPv4-Output-Service-Set string
198 ERX-IPv4-Input-Service-Filter string
199 ERX-IPv4-Output-Service-Filter string
200 ERX-IPv6-Input-Service-Set string
201 ERX-IPv6-Output-Service-Set string
202 ERX-IPv6-Input-Service-Filter string
203 ERX-IPv6-Output-Service-Filter string
"""

_ERX_SHOWN = """
36 ERX-PPP-Username string
56 ERX-Dhcp-Mac-Addr string
57 ERX-Dhcp-Gi-Address ipaddr
92 ERX-L2c-Up-Stream-Data string
93 ERX-L2c-Down-Stream-Data string
110 ERX-Acc-Loop-Cir-Id string
112 ERX-Acc-Aggr-Cir-Id-Asc string
129 ERX-IPv6-NdRa-Prefix ipv6prefix
141 ERX-DownStream-Calc-Rate integer
142 ERX-UpStream-Calc-Rate integer
151 ERX-IPv6-Acct-Input-Octets integer
152 ERX-IPv6-Acct-Output-Octets integer
161 ERX-IPv6-Delegated-Pool-Name string
"""

_ADSL_FORUM_SHOWN = """
1 ADSL-Agent-Circuit-Id string
2 ADSL-Agent-Remote-Id string
129 Actual-Data-Rate-Upstream integer
130 Actual-Data-Rate-Downstream integer
131 Minimum-Data-Rate-Upstream integer
132 Minimum-Data-Rate-Downstream integer
133 Attainable-Data-Rate-Upstream integer
134 Attainable-Data-Rate-Downstream integer
135 Maximum-Data-Rate-Upstream integer
136 Maximum-Data-Rate-Downstream integer
137 Minimum-Data-Rate-Upstream-Low-Power integer
138 Minimum-Data-Rate-Downstream-Low-Power integer
139 Maximum-Interleaving-Delay-Upstream integer
140 Actual-Interleaving-Delay-Upstream integer
141 Maximum-Interleaving-Delay-Downstream integer
142 Actual-Interleaving-Delay-Downstream integer
144 Access-Loop-Encapsulation octets
254 IWF-Session octets
"""

_REDBACK_GIVEN = """
1 Client-DNS-Pri ipaddr
2 Client-DNS-Sec ipaddr
4 Context-Name string
12 Police-Rate integer
36 Ip-Address-Pool-Name string
87 Qos-Policing-Profile-Name string
88 Qos-Metering-Profile-Name string
89 Qos-Policy-Queuing string
92 Forward-Policy string
104 IP-Interface-Name string
105 NAT-Policy-Name string
107 HTTP-Redirect-Profile-Name string
156 QOS-Rate-Inbound string
157 QOS-Rate-Outbound string
164 Dynamic-Policy-Filter string
165 HTTP-Redirect-URL string
196 Dynamic-QoS-Param string
207 RB-IPV6-DNS string
"""

_REDBACK_SHOWN = """
96 Agent-Remote-Id string
97 Agent-Circuit-Id string
125 DHCP-Vendor-Class-ID string
145 Mac-Addr string
"""


def _read(text: str, vendor: int, may_be_given: bool) -> Iterator[DictionaryAttribute]:
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0].isdigit():
            code, name, kind, *words = words
            attribute = DictionaryAttribute(name, vendor, int(code), kind, may_be_given, {})
            yield attribute
        for word in words:
            value, _, number = word.partition("=")
            attribute.values[value] = int(number)


ATTRIBUTES: tuple[DictionaryAttribute, ...] = tuple(
    attribute
    for vendor, given, shown in (
        (0, _STANDARD_GIVEN, _STANDARD_SHOWN),
        (311, _MICROSOFT_GIVEN, _MICROSOFT_SHOWN),
        (14988, _MIKROTIK_GIVEN, _MIKROTIK_SHOWN),
        (14122, _WISPR_GIVEN, _WISPR_SHOWN),
        (529, _ASCEND_GIVEN, ""),
        (9, _CISCO_GIVEN, _CISCO_SHOWN),
        (2011, _HUAWEI_GIVEN, _HUAWEI_SHOWN),
        (4874, _ERX_GIVEN, _ERX_SHOWN),
        (3561, "", _ADSL_FORUM_SHOWN),
        (2352, _REDBACK_GIVEN, _REDBACK_SHOWN),
    )
    for text, may_be_given in ((given, True), (shown, False))
    for attribute in _read(text, vendor, may_be_given)
)
