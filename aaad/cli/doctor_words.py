"""What is wrong with a router's settings, in words: what it costs stands in each sentence."""

from aaad.cli.terminal import Terminal
from aaad.mikrotik.doctor import Finding, Kind


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


TEXTS = {
    Kind.NO_ENTRY: _("No entry of /radius has an address of ours ({there}): it asks somebody else, or nobody."),
    Kind.ENTRY_OFF: _("Our entry {address} of /radius is switched off."),
    Kind.SERVICE: _("Our entry {address} of /radius is not asked for {services}."),
    Kind.PORTS: _("Our entry {address} of /radius has the ports {ports}; ours are {right}."),
    Kind.SOURCE: _("It sends to {address} from {source}, which is not in {network}: we take it for a stranger."),
    Kind.ANOTHER_FIRST: _("{address} stands before us in /radius and is asked first; we only when it is silent."),
    Kind.TIMEOUT_LOW: _(
        "It waits for {address} only {timeout_ms} ms, less than {least_ms}: it sends again what we are answering."
    ),
    Kind.TIMEOUT_HIGH: _(
        "It waits {timeout_ms} ms for {address}, more than {most_ms}: "
        "customers give up before another server is asked."
    ),
    Kind.SECRET_DIFFERS: _("The secret of its entry {address} is none of those that we believe."),
    Kind.SECRET_SUSPECTED: _(
        "The secret of its entry {address} may be wrong: it counts {bad_replies} bad replies, "
        "and {unreadable} of its requests did not fit the secret here."
    ),
    Kind.UNSIGNED: _("It takes replies of {address} without Message-Authenticator: who is between can forge them."),
    Kind.INCOMING_OFF: _("It takes no orders (CoA, Disconnect): no block and no new speed gets to who is connected."),
    Kind.INCOMING_PORT: _("It takes orders (CoA, Disconnect) at port {port}; we send them to {right}."),
    Kind.PPP_WITHOUT_RADIUS: _("PPP does not ask RADIUS."),
    Kind.PPP_ACCOUNTING_OFF: _("PPP sends no accounting: we do not know who is connected."),
    Kind.PPP_INTERIM_OFF: _("PPP sends no Interim-Update by itself: who has gone without a Stop stays in the books."),
    Kind.IPV6_ACCOUNTING_OFF: _("PPP does not count IPv6 for itself."),
    Kind.LOCAL_SECRETS: _(
        "{count} of our logins are in /ppp secret, too, and get in without RADIUS, blocked or not: {names}"
    ),
    Kind.HOTSPOT_WITHOUT_RADIUS: _("Hotspot profile {profile} does not ask RADIUS."),
    Kind.HOTSPOT_ACCOUNTING_OFF: _("Hotspot profile {profile} sends no accounting."),
    Kind.HOTSPOT_INTERIM_OFF: _("Hotspot profile {profile} sends no Interim-Update."),
    Kind.COOKIES: _(
        "Hotspot profile {profile} lets people in again by cookie ({lifetime}): who is cut comes back without a word."
    ),
    Kind.NO_RULE: _("No firewall rule does anything to the {family} address list {list} (parameter {parameter})."),
    Kind.RULE_OFF: _(
        "The firewall rule for the {family} address list {list} (parameter {parameter}) is switched off ({table})."
    ),
    Kind.NO_JUMP: _(
        "The firewall rule for the {family} address list {list} (parameter {parameter}) stands in chain {chain}, "
        "to which nothing jumps ({table})."
    ),
    Kind.CLOCK_UNTOLD: _("It does not tell what time it has."),
    Kind.UNREAD: _("It does not show {path} to the user of its API ({message}): that is not judged."),
    Kind.MAY_NOT_WRITE: _(
        "The user {user} of its API may not write, by its group {group}: sessions that take no CoA are not ended, "
        "and nobody gets into an address list or out of it."
    ),
    Kind.NTP_OFF: _("Its clock is set by no time server."),
    Kind.OLD_VERSION: _(
        "RouterOS {version} is old: before {needed} requests are not signed, and IPv6 is not told from IPv4."
    ),
}
_AHEAD = _("Its clock is {seconds} s ahead of ours.")
_BEHIND = _("Its clock is {seconds} s behind ours.")


def finding_text(terminal: Terminal, finding: Finding) -> str:
    """Return the sentence for a finding, in the terminal's language."""
    if finding.kind is Kind.CLOCK:
        return terminal.speak(_AHEAD if finding.facts["is_ahead"] else _BEHIND, seconds=finding.facts["seconds"])
    return terminal.speak(TEXTS[finding.kind], **dict(finding.facts))
