"""Rows of the network's tables that PostgreSQL refuses, each with the rule that says so."""

LOGIN = {"contract_id": 1, "name": "bia", "password": "secret"}
PLAN = {"name": "P", "upload": "10M", "download": "20M"}
PHASE = {"plan_id": 1, "phase": "reduced", "hours": [0, 1], "upload": "10M", "download": "20M"}
PLAN_ATTRIBUTE = {"plan_id": 1, "name": "Filter-Id", "value": "x"}
LOGIN_ATTRIBUTE = {"login_id": 1, "name": "Filter-Id", "value": "x"}
ADMINISTRATOR = {"name": "root", "password": "secret"}
CONTRACT = {"client_id": 1, "branch_id": 1, "plan_id": 1}
NAS = {"name": "bras-1", "address": "192.0.2.1/32", "secret": "testing123"}
DICTIONARY_ATTRIBUTE = {"name": "X", "vendor": 1, "code": 1, "kind": "string", "may_be_given": True}
DICTIONARY_VALUE = {"attribute": "Framed-Compression", "name": "X", "number": 9}

POOLS = ("ipv4_pool", "ipv6_pool", "delegated_ipv6_pool")
_MANY_NAMES = [str(number) for number in range(9)]
_MANY_SERVERS = [f"192.0.2.{number}" for number in range(1, 10)]

SPEEDS = [  # of a plan and of a phase
    ({"upload": "1m"}, "upload_form"),
    ({"download": "0M"}, "download_form"),
    ({"upload_burst": "1G"}, "upload_burst_form"),
    ({"download_burst": "x"}, "download_burst_form"),
    ({"upload_burst": "20M", "upload_burst_threshold": "1"}, "upload_burst_threshold_form"),
    ({"download_burst": "20M", "download_burst_threshold": "1"}, "download_burst_threshold_form"),
    ({"upload_burst": "20M", "upload_burst_time_s": 0}, "upload_burst_time_range"),
    ({"download_burst": "20M", "download_burst_time_s": 3601}, "download_burst_time_range"),
    ({"upload_burst": "9M"}, "burst_not_below_speed"),
    ({"download_burst": "19999k"}, "burst_not_below_speed"),
    ({"upload_burst_time_s": 8}, "burst_whole"),
    ({"download_burst_threshold": "5M"}, "burst_whole"),
    ({"priority": 0}, "priority_range"),
    ({"priority": 9}, "priority_range"),
    ({"upload_guaranteed": "1"}, "upload_guaranteed_form"),
    ({"download_guaranteed": "1"}, "download_guaranteed_form"),
    ({"upload_guaranteed": "11M"}, "guaranteed_not_above_speed"),
    ({"download_guaranteed": "20001k"}, "guaranteed_not_above_speed"),
]
PLANS = [
    ({"normal_hours": [24]}, "plan_normal_hours_form"),
    ({"normal_hours": []}, "plan_normal_hours_form"),
    ({"normal_hours": [-1]}, "plan_normal_hours_form"),
    ({"normal_hours": [1, None]}, "plan_normal_hours_form"),
    ({"normal_hours": [[1], [2]]}, "plan_normal_hours_form"),
    ({"late_after_days": 366, "late_plan_id": 1}, "plan_late_after_days_range"),
    ({"late_after_days": -1, "late_plan_id": 1}, "plan_late_after_days_range"),
    ({"late_after_days": 5}, "plan_late_after_days_with_plan"),
    ({"late_plan_id": 99}, "plan_late_plan_id_fkey"),
    ({"id": 7, "late_plan_id": 7}, "plan_late_plan_is_another"),
    ({"cap_gigabytes": 100}, "plan_cap_whole"),
    ({"cap_kind": "M"}, "plan_cap_whole"),
    ({"cap_plan_id": 1}, "plan_cap_whole"),
    ({"cap_gigabytes": 0, "cap_kind": "M", "cap_plan_id": 1}, "plan_cap_gigabytes_range"),
    ({"cap_gigabytes": 9, "cap_kind": "X", "cap_plan_id": 1}, "plan_cap_kind_known"),
    ({"id": 7, "cap_gigabytes": 9, "cap_kind": "M", "cap_plan_id": 7}, "plan_cap_plan_is_another"),
    ({"ipv4_pool": ""}, "plan_ipv4_pool_form"),
    ({"ipv6_pool": " x"}, "plan_ipv6_pool_form"),
    ({"delegated_ipv6_pool": "ç"}, "plan_delegated_ipv6_pool_form"),
    ({"address_list": ""}, "plan_address_list_form"),
    ({"address_list_ipv6": "x" * 129}, "plan_address_list_ipv6_form"),
    ({"router_group": "a\nb"}, "plan_router_group_form"),
    ({"filter_ids": ["x "]}, "plan_filter_ids_form"),
    ({"filter_ids": [None]}, "plan_filter_ids_form"),
    ({"filter_ids": [["a", "b"], ["c", "d"]]}, "plan_filter_ids_form"),
    ({"filter_ids": _MANY_NAMES}, "plan_filter_ids_form"),
    ({"dns": ["127.0.0.1"]}, "plan_dns_form"),
    ({"dns": ["2001:db8::/64"]}, "plan_dns_form"),
    ({"dns": ["fe80::1"]}, "plan_dns_form"),
    ({"dns": [None]}, "plan_dns_form"),
    ({"dns": [["192.0.2.1"], ["192.0.2.2"]]}, "plan_dns_form"),
    ({"dns": _MANY_SERVERS}, "plan_dns_form"),
    ({"mppe": "S"}, "plan_mppe_known"),
]
PHASES = [
    ({"plan_id": 99}, "plan_phase_plan_id_fkey"),
    ({"phase": "night"}, "plan_phase_phase_known"),
    ({"hours": [24]}, "plan_phase_hours_form"),
    ({"hours": []}, "plan_phase_hours_form"),
    ({"upload": None}, "plan_phase_speed_or_plan"),
    ({"replacement_plan_id": 2}, "plan_phase_speed_or_plan"),
    ({"replacement_plan_id": 2, "upload": None, "download": None, "priority": 5}, "plan_phase_speed_or_plan"),
    ({"replacement_plan_id": 1, "upload": None, "download": None}, "plan_phase_replacement_is_another"),
    ({"replacement_plan_id": 99, "upload": None, "download": None}, "plan_phase_replacement_plan_id_fkey"),
]
LOGINS = [
    ({"auto_fill_mac": "true"}, "login_auto_fill_mac_known"),
    ({"bind_mac": "H"}, "login_bind_mac_known"),
    ({"nas_id": 99}, "login_nas_id_fkey"),
    ({"auto_fill_nas": "s"}, "login_auto_fill_nas_known"),
    ({"bind_nas": ""}, "login_bind_nas_known"),
    ({"port_id": ""}, "login_port_id_form"),
    ({"port_id": " vlan"}, "login_port_id_form"),
    ({"port_id": "vlan\x1f"}, "login_port_id_form"),
    ({"port_id": "x" * 513}, "login_port_id_form"),
    ({"auto_fill_port": "X"}, "login_auto_fill_port_known"),
    ({"bind_port": "X"}, "login_bind_port_known"),
    ({"circuit_id": "olt\n"}, "login_circuit_id_form"),
    ({"auto_fill_circuit": "X"}, "login_auto_fill_circuit_known"),
    ({"bind_circuit": "X"}, "login_bind_circuit_known"),
    ({"authentication": "D"}, "login_mac_login_with_mac"),
    ({"authentication": "M", "mac_login": False}, "login_mac_login_with_mac"),
    ({"authentication": "H", "mac_login": True}, "login_mac_login_with_mac"),
    ({"authentication": "L", "mac_login": True, "mac": "001a2b3c4d5e"}, "login_mac_login_of_kind"),
    ({"authentication": "H", "password": None, "mac": "001a2b3c4d5e"}, "login_password_required"),
    ({"access_hours": [12, 24]}, "login_access_hours_form"),
    ({"upload": "x", "download": "1M"}, "login_upload_form"),
    ({"upload": "1M", "download": "x"}, "login_download_form"),
    ({"upload": "1M"}, "login_speed_whole"),
    ({"ipv4_pool": ""}, "login_ipv4_pool_form"),
    ({"ipv6_pool": ""}, "login_ipv6_pool_form"),
    ({"delegated_ipv6_pool": ""}, "login_delegated_ipv6_pool_form"),
    ({"address_space": 0}, "login_address_space_range"),
    ({"ipv6_prefix": "2001:db8::/47"}, "login_ipv6_prefix_form"),
    ({"ipv6_prefix": "10.0.0.0/24"}, "login_ipv6_prefix_form"),
    ({"ipv6_prefix": "ff00::/64"}, "login_ipv6_prefix_form"),
    ({"delegated_ipv6_prefix": "2001:db8::/65"}, "login_delegated_ipv6_prefix_form"),
    ({"delegated_ipv6_prefix": "fe80::/60"}, "login_delegated_ipv6_prefix_form"),
    ({"routes": ["0.0.0.0/0"]}, "login_routes_form"),
    ({"routes": ["::/0"]}, "login_routes_form"),
    ({"routes": ["127.0.0.0/8"]}, "login_routes_form"),
    ({"routes": [f"10.0.{number}.0/24" for number in range(17)]}, "login_routes_form"),
    ({"address_list": ""}, "login_address_list_form"),
    ({"address_list_ipv6": "x "}, "login_address_list_ipv6_form"),
    ({"dns": ["127.0.0.1"]}, "login_dns_form"),
    ({"simultaneous_max": 0}, "login_simultaneous_max_range"),
    ({"plan_link": "X"}, "login_plan_link_known"),
    ({"equipment_kind": "X"}, "login_equipment_kind_known"),
    ({"wpa2_passphrase": "short"}, "login_wpa2_passphrase_form"),
    ({"wpa2_passphrase": "x" * 64}, "login_wpa2_passphrase_form"),
]
ADMINISTRATORS = [
    ({"name": "a b"}, "router_administrator_name_form"),
    ({"password": ""}, "router_administrator_password_form"),
    ({"router_group": ""}, "router_administrator_router_group_form"),
    ({"nas_id": 99}, "router_administrator_nas_id_fkey"),
]
ATTRIBUTES = [
    ({"name": "Nothing-Known"}, "attribute_name_known"),
    ({"name": "Filter-Id:1"}, "attribute_name_known"),
    ({"name": "Tunnel-Type:32", "value": "VLAN"}, "attribute_name_known"),
    ({"name": "Session-Timeout", "value": "60"}, "attribute_may_be_given"),
    ({"name": "Framed-IP-Netmask", "value": "x"}, "attribute_value_form"),
]

NETWORK_REFUSED = [
    *(("erp.plan", PLAN, values, f"plan_{rule}") for values, rule in SPEEDS),
    *(("erp.plan_phase", PHASE, values, f"plan_phase_{rule}") for values, rule in SPEEDS),
    *(("erp.plan", PLAN, values, rule) for values, rule in PLANS),
    *(("erp.plan_phase", PHASE, values, rule) for values, rule in PHASES),
    *(("erp.login", LOGIN, values, rule) for values, rule in LOGINS),
    *(("net.router_administrator", ADMINISTRATOR, values, rule) for values, rule in ADMINISTRATORS),
    *(("erp.plan_attribute", PLAN_ATTRIBUTE, values, rule) for values, rule in ATTRIBUTES),
    *(("erp.login_attribute", LOGIN_ATTRIBUTE, values, rule) for values, rule in ATTRIBUTES),
    ("erp.plan_attribute", PLAN_ATTRIBUTE, {"plan_id": 99}, "plan_attribute_plan_id_fkey"),
    ("erp.login_attribute", LOGIN_ATTRIBUTE, {"login_id": 99}, "login_attribute_login_id_fkey"),
    ("net.nas", NAS, {"kind": "Mikrotik"}, "nas_kind_known"),
    *(("erp.contract", CONTRACT, {pool: " x"}, f"contract_{pool}_form") for pool in POOLS),
    *(("net.nas", NAS, {pool: " x"}, f"nas_{pool}_form") for pool in (*POOLS, "secondary_pool")),
    ("net.dictionary_attribute", DICTIONARY_ATTRIBUTE, {"code": 256}, "dictionary_attribute_code_range"),
    ("net.dictionary_attribute", DICTIONARY_ATTRIBUTE, {"kind": "tlv"}, "dictionary_attribute_kind_known"),
    ("net.dictionary_value", DICTIONARY_VALUE, {"number": -1}, "dictionary_value_number_range"),
]
NETWORK_TABLES = {  # with an id
    "erp.plan_phase": PHASE,
    "erp.plan_attribute": PLAN_ATTRIBUTE,
    "erp.login_attribute": LOGIN_ATTRIBUTE,
    "net.router_administrator": ADMINISTRATOR,
}
