"""Editing a policy in a form: what was typed holds, everything else, comments and layout included, stays as it is."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence import policy_draft as draft
from ringfence.errors import SettingsError
from ringfence.model import EVERY
from ringfence.policy import RULE_FORMS, default_policy_text, load_policy
from ringfence.policy_typed import check_value, typed, words

DEFAULT = default_policy_text({})
SERVICES = ["ssh", "sip", "http", "imap", "mysql", "login", "vpn", "web"]
RULES = list(tomllib.loads(DEFAULT)["rules"])

TYPED: dict[str, list[str]] = {
    "failures": ["1", "10", "100000", " 7 "],
    "within": ["90", "10m", "1h30m", "365d"],
    "ban": ["10m", "2d", "forever"],
    "actions": ["block", "block,mail", "Mail, block", "none"],
    "scope": ["service", "all", "All"],
    "causes": ["", "probe", "!probe, !forbidden", "a,b"],
    "proven": ["yes", "no", "TRUE", "off"],
    "enabled": ["yes", "no"],
}
COUNTING = [rule for rule in RULES if "failures" in tomllib.loads(DEFAULT)["rules"][rule]]


def comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.lstrip().startswith("#")]


def cells(text: str) -> dict[tuple[str, str], Any]:
    """What every rule table says, cell by cell."""
    found = {}
    for rule, table in tomllib.loads(text)["rules"].items():
        found[rule, EVERY] = {key: raw for key, raw in table.items() if not isinstance(raw, dict)}
        found.update({(rule, key): raw for key, raw in table.items() if isinstance(raw, dict)})
    return found


@st.composite
def changes(drawn: st.DrawFn) -> tuple[str, str, dict[str, str | None]]:
    rule = drawn(st.sampled_from(COUNTING))
    service = drawn(st.sampled_from([EVERY, *SERVICES]))
    keys = drawn(st.lists(st.sampled_from(list(TYPED)), min_size=1, max_size=4, unique=True))
    needed = {"failures", "within", "ban"} if service == EVERY else set()
    values = {
        key: drawn(st.sampled_from(TYPED[key]) if key in needed else st.none() | st.sampled_from(TYPED[key]))
        for key in keys
    }
    return rule, service, values


@settings(max_examples=150, deadline=None)
@given(st.lists(changes(), min_size=1, max_size=4))
def test_what_is_set_is_read_back_and_no_other_cell_and_no_comment_changes(
    several: list[tuple[str, str, dict[str, str | None]]],
) -> None:
    text = DEFAULT
    for rule, service, values in several:
        before, after = text, draft.set_rule(text, rule, service, values)
        old, new = cells(before), cells(after)
        for key, value in values.items():
            raw = new.get((rule, service), {}).get(key)
            read = None if raw is None else RULE_FORMS[key].parse(raw)
            assert read == (None if value is None else typed(key, value))
        assert comments(after) == comments(before)
        assert {at: cell for at, cell in new.items() if at != (rule, service)} == {
            at: cell for at, cell in old.items() if at != (rule, service)
        }
        changed = set(after.splitlines()) - set(before.splitlines())
        assert all(line.split(" =")[0].strip() in values or line.startswith("[rules.") for line in changed)
        text = after


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(TYPED)), st.data())
def test_what_a_form_shows_means_the_same_when_it_is_sent_back(key: str, data: st.DataObject) -> None:
    value = typed(key, data.draw(st.sampled_from(TYPED[key])))
    assert typed(key, words(key, value)) == value


def test_a_new_override_stands_above_the_comment_of_the_next_rule() -> None:
    text = draft.set_rule(DEFAULT, "standard", "ssh", {"failures": "5", "ban": "1h"})
    assert 'scope = "all"\n\n[rules.standard.ssh]\nfailures = 5\nban = "1h"\n\n# Hundreds of failures' in text
    assert text.replace('\n[rules.standard.ssh]\nfailures = 5\nban = "1h"\n', "") == DEFAULT


def test_taking_back_an_override_gives_the_same_text_as_before() -> None:
    text = draft.set_rule(DEFAULT, "flood", "ssh", {"failures": "50"})
    assert draft.set_rule(text, "flood", "ssh", {"failures": None}) == DEFAULT
    assert draft.remove_override(text, "flood", "ssh") == DEFAULT


def test_the_comment_beside_a_value_stays() -> None:
    text = 'whitelist = []\n[rules.a]\nfailures = 3  # "few" # really\nwithin = "1m"\nban = "1m"'
    changed = draft.set_rule(text, "a", EVERY, {"failures": "4", "proven": "yes"})
    assert 'failures = 4  # "few" # really\n' in changed
    assert changed.endswith('ban = "1m"\nproven = true\n')


def test_several_combinations_are_changed_at_once_or_not_at_all() -> None:
    many = [("standard", "ssh"), ("standard", "sip"), ("flood", "vpn")]
    new = load_policy(draft.set_many(DEFAULT, many, {"ban": "3h"}))
    for rule, service in many:
        assert {each.name: each for each in new.rules_for(service)}[rule].ban == 3 * 3600
    with pytest.raises(SettingsError, match=r"\[rules\] nothing: there is no such rule"):
        draft.set_many(DEFAULT, [*many, ("nothing", "ssh")], {"ban": "3h"})


def test_counting_bans_takes_the_place_of_counting_failures() -> None:
    text = draft.set_rule(DEFAULT, "standard", "ssh", {"failures": "5"})
    text = draft.set_rule(text, "standard", "ssh", {"bans": "2"})
    assert cells(text)["standard", "ssh"] == {"bans": 2}


def test_rules_are_added_last_and_removed_whole() -> None:
    values = {"failures": "2", "within": "2m", "ban": "1h", "actions": "block, mail"}
    text = draft.add_rule(DEFAULT, "fast", values)
    assert list(tomllib.loads(text)["rules"]) == [*RULES, "fast"]
    assert comments(text) == comments(DEFAULT)
    assert draft.remove_rule(text, "fast") == DEFAULT
    only = draft.add_rule(DEFAULT, "fast", values, "sip")
    assert [rule.name for rule in load_policy(only).rules_for("sip")][-1] == "fast"
    assert "fast" not in [rule.name for rule in load_policy(only).rules_for("ssh")]
    without = draft.remove_rule(DEFAULT, "standard")
    assert list(tomllib.loads(without)["rules"]) == RULES[1:]
    with pytest.raises(SettingsError, match="there is a rule of this name already"):
        draft.add_rule(DEFAULT, "flood", values)
    with pytest.raises(SettingsError, match="1 to 32 of a-z"):
        draft.add_rule(DEFAULT, "Größe", values)
    with pytest.raises(SettingsError, match=r"\[rules.slow\] within: is missing"):
        draft.add_rule(DEFAULT, "slow", {"failures": "3", "ban": "1h"})


def test_services_are_switched_and_limits_set() -> None:
    text = draft.set_service(DEFAULT, "ftp", False)
    assert load_policy(text).disabled == {"ftp"}
    assert load_policy(draft.set_service(text, "ftp", True)).disabled == frozenset()
    assert draft.set_service(DEFAULT, "ssh", True) == DEFAULT
    text = draft.set_limits(DEFAULT, {"harmless": "8", "ipv6_network": None})
    assert load_policy(text).limits.harmless == 8
    assert "ipv6_network" not in tomllib.loads(text)["limits"]
    with pytest.raises(SettingsError, match="must be at most ipv6_prefix"):
        draft.set_limits(DEFAULT, {"ipv6_prefix": "32"})
    with pytest.raises(SettingsError, match="a whole number from 0 to 100000"):
        draft.set_limits(DEFAULT, {"harmless": "many"})


LISTED = """\
whitelist = [
    "192.0.2.0/24",  # the office
    "Home.Example.net",  # at home
    # the branch
    "2001:db8::/32"  # no comma
]  # end

# first
[rules.a]
failures = 3
within = "1m"
ban = "1m"
"""


def test_entries_of_the_whitelist_keep_their_line_and_comment() -> None:
    text = draft.set_whitelist(LISTED, ["2001:DB8::/32", "home.example.net", "198.51.100.7"])
    assert text == LISTED.replace('    "192.0.2.0/24",  # the office\n', "").replace(
        '"2001:db8::/32"  # no comma\n', '"2001:db8::/32",  # no comma\n    "198.51.100.7",\n'
    )


def test_a_whitelist_is_begun_above_the_first_table() -> None:
    text = "# about\n\n# first\n[rules.a]\nfailures = 3\nwithin = 60\nban = 60\n"
    assert draft.set_whitelist(text, ["::1"]) == text.replace("# first", 'whitelist = ["::1"]\n\n# first')
    assert draft.set_whitelist("", ["::1"]) == 'whitelist = ["::1"]\n'
    with pytest.raises(SettingsError, match="an address, a network or a host name"):
        draft.set_whitelist(text, ["not an address"])


@pytest.mark.parametrize(
    "text",
    [
        '# c\n[rules]\na = { failures = 3, within = "1m", ban = "1m", sip = { ban = "2m" } }  # d\n',
        '# c\n[rules.a]\nfailures = 3\nwithin = "1m"\nban = "1m"\nsip.ban = "2m"  # d\n',
        '# c\nrules.a.failures = 3\nrules.a.within = "1m"\nrules.a.ban = "1m"\nrules.a.sip.ban = "2m"  # d\n',
        '# c\n[ "rules" . a ]\r\nfailures = 3\r\nwithin = "1m"\r\nban = "1m"\r\n[rules.a.sip]  # d\r\nban = "2m"\r\n',
        '\ufeff# c\n[rules.a]\nfailures = 3\nwithin = "1m"\nban = "1m"\n\n[rules.a.sip]  # d\nban = """2m"""\n',
    ],
)
def test_every_form_of_toml_can_be_edited(text: str) -> None:
    for rule, service, values in (
        ("a", "sip", {"ban": "3m"}),
        ("a", "ssh", {"failures": "9"}),
        ("a", EVERY, {"ban": "1d"}),
    ):
        changed = draft.set_rule(text, rule, service, values)
        assert "# c" in changed and "# d" in changed
        wanted = cells(text.removeprefix("\ufeff"))
        read = {
            key: tomllib.loads(f"x = {RULE_FORMS[key].show(typed(key, value))}")["x"] for key, value in values.items()
        }
        wanted[rule, service] = {**wanted.get((rule, service), {}), **read}
        assert cells(changed.removeprefix("\ufeff")) == wanted
    assert ("a", "sip") not in cells(draft.set_rule(text, "a", "sip", {"ban": None}).removeprefix("\ufeff"))


@pytest.mark.parametrize(
    ("key", "text", "wrong"),
    [
        ("failures", "10", ""),
        ("failures", "0", "must be a whole number from 1 to 100000"),
        ("failures", "ten", "must be a whole number from 1 to 100000"),
        ("within", "10m", ""),
        ("within", "forever", "must be a duration from 1s to 10 years"),
        ("ban", "forever", ""),
        ("ban", "soon", "must be a duration such as"),
        ("ban", "", "must be a duration such as"),
        ("actions", "block, mail", ""),
        ("actions", "explode", 'any of "block" and "mail"'),
        ("causes", "!probe, forbidden", "must name either causes that count"),
        ("proven", "yes", ""),
        ("proven", "perhaps", "must be yes or no"),
        ("per", "street", 'must be "address", "network" or "account"'),
        ("ipv6_prefix", "129", "must be a whole number from 16 to 128"),
        ("whitelist", "10.0.0.1/8", "has bits set beyond its prefix: the network is 10.0.0.0/8"),
        ("name", "flood", ""),
        ("name", "a b", "1 to 32 of a-z"),
        ("colour", "red", 'there is no setting "colour"'),
    ],
)
def test_a_value_is_checked_while_it_is_typed(key: str, text: str, wrong: str) -> None:
    found = check_value(key, text)
    assert wrong in found if wrong else found == ""


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*RULE_FORMS, "whitelist", "harmless"]), st.text(max_size=30))
def test_whatever_is_typed_is_an_answer_and_never_an_error_of_ours(key: str, text: str) -> None:
    wrong = check_value(key, text)
    if key in RULE_FORMS and wrong:
        with pytest.raises(SettingsError, match=key):
            draft.set_rule(DEFAULT, "standard", "ssh", {key: text})


def test_an_error_names_the_field_and_what_is_permitted() -> None:
    with pytest.raises(SettingsError) as told:
        draft.set_rule(DEFAULT, "standard", "sip", {"failures": "abc"})
    assert str(told.value) == ('policy: [rules.standard.sip] failures = "abc": must be a whole number from 1 to 100000')
    with pytest.raises(SettingsError, match="nearest known: ssh"):
        draft.set_rule(DEFAULT, "standard", "sssh", {"failures": "3"}, services=["ssh"])


# The table


def test_the_table_shows_what_is_inherited_and_what_is_not() -> None:
    table = draft.grid(DEFAULT, SERVICES)
    assert [row.rule for row in table.rows] == RULES
    row = table.rows[0]
    sip, ssh = row.cells["sip"], row.cells["ssh"]
    assert (sip.inherited, ssh.inherited) == (False, True)
    assert (sip.brief, ssh.brief) == ("14 in 1h → 2h", "10 in 10m → 10m")
    assert sip.values["failures"] == draft.Value(own="14", inherited="10", effective="14")
    assert sip.values["causes"] == draft.Value(own=None, inherited="!probe", effective="!probe")
    assert ssh.values["ban"] == draft.Value(own=None, inherited="10m", effective="10m")
    assert row.every.values["bans"] == draft.Value(own=None, inherited=None, effective="")
    assert set(table.services) == {*SERVICES, "proxy", "postgresql", "pop3", "smtp"}


def test_a_cell_with_a_table_is_not_inherited_even_where_it_says_the_same() -> None:
    text = draft.set_rule(DEFAULT, "standard", "ssh", {"failures": "10"})
    assert not draft.grid(text, SERVICES).rows[0].cells["ssh"].inherited


def test_the_table_tells_what_is_switched_off() -> None:
    text = draft.set_service(draft.set_rule(DEFAULT, "flood", "ssh", {"enabled": "no"}), "vpn", False)
    flood = draft.grid(text, SERVICES).rows[1]
    assert [name for name in SERVICES if not flood.cells[name].enabled] == ["ssh", "vpn"]


def test_a_rule_for_single_services_exists_nowhere_else() -> None:
    text = (
        '[rules.calls]\nactions = "mail"\n[rules.calls.sip]\nfailures = 3\nwithin = 60\nban = 60\nactions = "block"\n'
    )
    row = draft.grid(text, ["sip", "ssh"]).rows[0]
    assert (row.every.brief, row.cells["ssh"].brief, row.cells["sip"].brief) == ("", "", "3 in 1m → 1m")
    assert row.cells["sip"].values["actions"] == draft.Value(own="block", inherited="mail", effective="block")
    assert not row.cells["ssh"].enabled


@settings(max_examples=60, deadline=None)
@given(st.lists(changes(), max_size=5))
def test_the_table_agrees_with_what_is_judged_by(several: list[tuple[str, str, dict[str, str | None]]]) -> None:
    text = DEFAULT
    for rule, service, values in several:
        text = draft.set_rule(text, rule, service, values)
    policy, written = load_policy(text), cells(text)
    for row in draft.grid(text, SERVICES).rows:
        for service, cell in row.cells.items():
            holds = {each.name: each for each in policy.overrides.get(service, policy.rules)}[row.rule]
            assert cell.inherited == ((row.rule, service) not in written)
            assert cell.enabled == holds.enabled
            assert {key: value.effective for key, value in cell.values.items()} == {
                key: words(key, getattr(holds, key)) for key in RULE_FORMS
            }
