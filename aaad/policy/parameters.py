"""What a branch of the provider has set: its parameters, ready to decide with.

Pure. A parameter of a branch is S (yes), N (no) or P (as the general value says); texts inherit likewise when they are
absent. The closed list of names with their meaning stands in PARAMETERS; PostgreSQL refuses any other name.
"""

from typing import NamedTuple


class BranchPolicy(NamedTuple):
    """The parameters of one branch, resolved. Empty texts mean that nothing is said."""

    branch_id: int
    utc_offset_s: int = -10_800  # of the branch's zone now
    blocked_state: bool = False  # CM and CA are let into the blocked state instead of refused
    let_in_awaiting_signature: bool = False
    mac_bind: bool = True  # what P means for logins
    mac_learn: bool = False
    nas_bind: bool = True
    nas_learn: bool = False
    port_bind: bool = True
    port_learn: bool = False
    circuit_bind: bool = True
    circuit_learn: bool = False
    blocked_upload: str = "64k"
    blocked_download: str = "64k"
    blocked_ipv4_pool: str = ""
    blocked_ipv6_pool: str = ""
    blocked_delegated_ipv6_pool: str = ""
    blocked_group: str = ""  # a profile without IPv6
    blocked_address_list: str = ""
    blocked_address_list_ipv6: str = ""
    notice_address_list: str = ""
    notice_address_list_ipv6: str = ""
    ipv4_pool: str = ""
    ipv6_pool: str = ""
    delegated_ipv6_pool: str = ""
    dns: tuple[str, ...] = ()
    session_timeout_max_s: int = 86_400  # a session that must end is told so at most so long before (rule R4.4)
    strip_realms: tuple[str, ...] = ()  # `*`: any. Tried when the name as typed is unknown (rule R3.4)
    default_realm: str = ""  # appended to a name without realm when the name as typed is unknown
