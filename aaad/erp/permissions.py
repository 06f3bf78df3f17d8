"""What each permission and each variable of the seeds does here, or why it has no meaning here.

Pure data; the command line obeys it (`aaad.cli.permits`). Names are the seeds' to the letter, as in erp.permission. A
command that several permissions name takes all of them. Texts are English and marked for translation.
"""

from collections.abc import Mapping
from typing import NamedTuple

from aaad.erp.values import Value


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


class Use(NamedTuple):
    """A field whose writing takes a permission."""

    table: str
    column: str
    values: tuple[str, ...] = ()  # only these; none: any
    is_for_new: bool = True  # False: what a new record has to say anyway is no edit


class Permission(NamedTuple):
    """One permission. Without commands and fields it has no meaning here, and `meaning` says why."""

    number: int
    name: str
    meaning: str
    commands: tuple[str, ...] = ()
    fields: tuple[Use, ...] = ()
    denies: bool = False  # who has it may not, while the contract is active


class Variable(NamedTuple):
    """One variable of the seeds, and the parameter that it is here; without one `meaning` says how it is."""

    number: int
    name: str
    meaning: str
    parameter: str = ""


def _uses(table: str, *columns: str) -> tuple[Use, ...]:
    return tuple(Use(table, column) for column in columns)


_BLOCKED = ("CM", "CA")
_POOLS = ("ipv4_pool", "ipv6_pool", "delegated_ipv6_pool")
_BILLING = _("no meaning here: prices, discounts, fines and taxes are the ERP's")
_GOODS = _("no meaning here: the ERP buys and sells")
_HOSTING = _("no meaning here: domains, mailboxes and FTP are of other servers")

PERMISSIONS = (
    Permission(
        1,
        "Contrato de Cliente",
        _("writes contracts"),
        ("contract add", "contract edit", "contract circuit", "contract delete"),
    ),
    Permission(2, "Adicionar Plano", _("gives a client a plan, or sells a new one"), ("contract add", "plan add")),
    Permission(3, "Adicionar Tarefa Agendada", _("puts tasks on the agenda"), ("agenda add",)),
    Permission(4, "Alterar Data de Último Fechamento", _BILLING),
    Permission(5, "Alterar Multa Editar Contrato", _BILLING),
    Permission(6, "Apagar Login de Radius", _("deletes logins, as tombstones"), ("login delete",)),
    Permission(
        7,
        "Apagar Plano/Apagar Domínio",
        _("deletes plans, and contracts that have none"),
        ("plan delete", "contract delete"),
    ),
    Permission(
        8,
        "Autorizador de Planos",
        _("activates contracts"),
        ("contract activate",),
        (Use("contract", "status", ("A",)),),
    ),
    Permission(
        9,
        "Cancelar Plano",
        _("cancels contracts"),
        ("contract cancel",),
        (Use("contract", "status", ("I", "D")),),
    ),
    Permission(10, "Compra de Produtos", _GOODS),
    Permission(11, "Dar Descontos em Planos", _BILLING),
    Permission(
        12,
        "Editar Dados do Plano",
        _("writes the data of plans and of logins"),
        (
            *("plan edit", "plan phase", "plan delete-phase", "plan attribute"),
            *("login add", "login edit", "login attribute", "login clear-mac", "login clear-bindings"),
        ),
    ),
    Permission(
        13,
        "Editar Senha de Radius",
        _("gives logins another password"),
        ("login password",),
        (Use("login", "password_md5"),),
    ),
    Permission(
        14,
        "Editar Status de Planos",
        _("blocks, suspends and otherwise changes the status of contracts"),
        ("contract block", "contract notify", "contract await-signature", "contract sign", "contract suspend"),
        _uses(
            "contract",
            *("status", "access_status", "suspended_from", "suspended_until", "speed_status", "force_access"),
            *("block_automatically", "do_not_block_until", "trust_unlock", "trust_unlock_restricted"),
            *("late_speed", "not_reduced_until", "notice_automatically", "do_not_notice_until"),
        ),
    ),
    Permission(
        15,
        "Editar IP do Plano",
        _("gives addresses, networks and pools"),
        ("login secondary",),
        (
            *_uses("login", "ipv4", "ipv6_prefix", "delegated_ipv6_prefix", "routes", "address_space", *_POOLS),
            *_uses("contract", *_POOLS),
        ),
    ),
    Permission(16, "Editar Valor de Novo Plano", _BILLING),
    Permission(
        17,
        "Editar Vencimento do Plano",
        _("changes the due day of contracts, and until when they are paid"),
        fields=_uses("contract", "due_day", "paid_until"),
    ),
    Permission(18, "Excluir Terminal de Voz", _("deletes telephone lines"), ("line delete",)),
    Permission(
        19,
        "Habilitar Planos Suspensos",
        _("unblocks, resumes and releases contracts"),
        (
            *("contract unblock", "contract resume", "contract trust-unlock"),
            *("contract release", "contract release-speed"),
        ),
        (Use("contract", "access_status", ("A", "FA")),),
    ),
    Permission(
        20, "Movimento de Patrimônio", _("lends equipment and takes it back"), ("equipment lend", "equipment return")
    ),
    Permission(
        21,
        "Mudar Plano",
        _("gives contracts another plan"),
        ("contract change-plan",),
        (Use("contract", "plan_id", is_for_new=False),),
    ),
    Permission(
        22,
        "Mudança de Plano do Cliente",
        _("opens the change of a contract's owner, with the permission 32"),
        ("contract change-owner",),
        (Use("contract", "client_id", is_for_new=False),),
    ),
    Permission(
        23,
        "Não Editar Combo Plano Habilitado",
        _("forbids: active contracts are not edited and keep their plan"),
        ("contract edit", "contract change-plan"),
        denies=True,
    ),
    Permission(24, "Patrimônios", _("lists lent equipment"), ("equipment list",)),
    Permission(25, "Permite Alterar Multa Contrato", _BILLING),
    Permission(26, "Permite Editar a Taxa de Instalação", _BILLING),
    Permission(27, "Procurar Patrimônio", _("finds lent equipment"), ("equipment find",)),
    Permission(28, "Status Planos", _("sees the status of contracts"), ("contract list", "contract show")),
    Permission(29, "Tabela de Retenção de Impostos", _BILLING),
    Permission(
        30,
        "Tarefas",
        _("sees and steers the orders to the network"),
        ("order list", "order show", "order retry", "order cancel", "order release"),
    ),
    Permission(
        31,
        "Tarefas Agendadas",
        _("sees and steers the agenda"),
        (
            *("agenda list", "agenda show", "agenda run", "agenda cancel", "agenda retry", "agenda release"),
            *("agenda holidays", "agenda add-holiday", "agenda delete-holiday"),
        ),
    ),
    Permission(
        32,
        "Trocar Dono de Plano",
        _("gives contracts to another client"),
        ("contract change-owner",),
        (Use("contract", "client_id", is_for_new=False),),
    ),
    Permission(
        33,
        "Trocar Tipo de Plano ao Editar",
        _("changes the kind of contracts"),
        fields=(Use("contract", "kind", is_for_new=False),),
    ),
    Permission(34, "Ver Senha Campo Extra", _("no meaning here: extra fields are the ERP's")),
    Permission(35, "Ver Contas a Pagar", _("no meaning here: what the provider owes is the ERP's")),
    Permission(36, "Ver Senha Domínio", _HOSTING),
    Permission(37, "Ver Senha E-Mail", _HOSTING),
    Permission(38, "Ver Senha do Login de FTP", _HOSTING),
    Permission(
        39,
        "Ver Senha Login Radius",
        _("sees what a login would be answered; its password is shown to nobody"),
        ("simulate-login",),
    ),
)

VARIABLES = (
    Variable(
        1,
        "Alterar a Data ao Habilitar após Experimentar",
        _("a contract that is activated again is active since that day"),
        "reset_activation_date",
    ),
    Variable(2, "Bloquear Acentos em Logins de Radius", _("names have no accents"), "block_accents_in_logins"),
    Variable(3, "Copiar Campos Extras de Planos", _("no meaning here: extra fields are the ERP's")),
    Variable(
        4, "Criar Evento ao Habilitar o Plano do Cliente", _("always: the history tells every change of a status")
    ),
    Variable(5, "Dar Descontos Progressivos Mesmo com Mudança Plano", _BILLING),
    Variable(
        6,
        "Inativar Cliente ao Cancelar Último Plano",
        _("the last cancelled contract ends its client"),
        "inactivate_client_on_last_cancel",
    ),
    Variable(
        7,
        "Login de Radius Obrigatório no Cadastro de Clientes e Planos",
        _("internet contracts are activated with a login only"),
        "login_required_for_internet",
    ),
    Variable(
        8,
        "Não Cancelar Planos com Equipamento",
        _("contracts with lent equipment are not cancelled"),
        "keep_plan_with_equipment",
    ),
    Variable(
        9,
        "Permite Apagar Ponto de Acesso que tenha Planos Cancelados",
        _("a concentrator with cancelled contracts may be deleted"),
        "delete_nas_with_cancelled_contracts",
    ),
    Variable(
        10,
        "Permite Inativar Cliente com Planos Não Cancelados",
        _("clients with contracts may be made inactive"),
        "allow_inactive_client_with_contracts",
    ),
    Variable(
        11,
        "Permite Usar o Status Suspensão Temporária",
        _("contracts may be suspended at the client's wish"),
        "allow_voluntary_suspension",
    ),
    Variable(12, "Serviço Adicional Não Utilizar Forma de Cobrança do Plano", _BILLING),
    Variable(13, "Verificar no Plano Transferência de Acréscimo ou Desconto", _BILLING),
    Variable(14, "Busca Automática de IP Secundário", _("always: `aaad login secondary` finds the next free one")),
)


def needed_for(command: str) -> tuple[Permission, ...]:
    """Return the permissions that a command takes, by its words."""
    return tuple(one for one in PERMISSIONS if command in one.commands and not one.denies)


def needed_to_write(table: str, row: Mapping[str, Value], *, is_new: bool) -> tuple[Permission, ...]:
    """Return the permissions that writing these columns takes."""
    return tuple(
        one for one in PERMISSIONS if not one.denies and any(_is_used(use, table, row, is_new) for use in one.fields)
    )


def as_from(before: Mapping[str, object], access_status: object) -> tuple[str, ...]:
    """Return the commands whose permissions it takes to give what a contract has another access status."""
    is_blocked, is_free = before.get("access_status") in _BLOCKED, access_status not in _BLOCKED
    return ("contract unblock",) if is_blocked and is_free else ()


def forbidding(command: str) -> tuple[Permission, ...]:
    """Return the permissions whose holders may not use a command on what is active."""
    return tuple(one for one in PERMISSIONS if command in one.commands and one.denies)


def _is_used(use: Use, table: str, row: Mapping[str, Value], is_new: bool) -> bool:
    if use.table != table or use.column not in row or (is_new and not use.is_for_new):
        return False
    return not use.values or row[use.column] in use.values
