"""The policy file: what a user writes, whom it holds for, and what is said when it is wrong."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ringfence.durations import TEN_YEARS
from ringfence.errors import SettingsError
from ringfence.model import EVERY, Limits, Per, Policy, Rule
from ringfence.policy import RULE_FORMS, default_policy_text, load_policy, tables
from ringfence.policy_text import describe_rule, difference, dump_policy, switch_service

MINUTE, HOUR, DAY = 60, 3600, 86_400

WRITTEN = """
whitelist = ["10.0.0.0/8", "Office.Example.net", "2001:DB8::1", "10.0.0.0/8"]

[rules.standard]
failures = 10
within = "10m"
ban = "10m"
actions = ["block"]
[rules.standard.sip]  # telephones
failures = 14
within = "1h"
ban = "2h"
[rules.flood]
failures = 100
within = "3m"
ban = "365d"
[rules.enumeration]
failures = 6
within = "10m"
count = "accounts"
ban = "1d"
[rules.repeat]
bans = 3
within = "7d"
ban = "forever"

[services.ftp]
enabled = false
"""


def by_name(policy: Policy, service: str) -> dict[str, Rule]:
    return {rule.name: rule for rule in policy.rules_for(service)}


# What holds for whom


def test_a_service_inherits_every_value_that_it_does_not_override() -> None:
    policy = load_policy(WRITTEN)
    sip, ssh = by_name(policy, "sip"), by_name(policy, "ssh")
    assert ssh["standard"] == Rule(name="standard", failures=10, within=10 * MINUTE, ban=10 * MINUTE)
    assert sip["standard"] == Rule(name="standard", failures=14, within=HOUR, ban=2 * HOUR)
    assert list(sip) == list(ssh) == ["standard", "flood", "enumeration", "repeat"]
    assert all(sip[name] == ssh[name] for name in ("flood", "enumeration", "repeat"))
    assert (ssh["enumeration"].count, ssh["repeat"].bans, ssh["repeat"].ban) == ("accounts", 3, math.inf)


def test_a_service_that_is_switched_off_has_no_rules() -> None:
    policy = load_policy(WRITTEN)
    assert policy.disabled == {"ftp"}
    assert policy.rules_for("ftp") == ()
    assert load_policy("[services.ftp]\nenabled = true").disabled == frozenset()


def test_the_whitelist_is_kept_in_canonical_spelling_each_entry_once() -> None:
    assert load_policy(WRITTEN).whitelist == ("10.0.0.0/8", "office.example.net", "2001:db8::1")


def test_fast_medium_and_slow_rules_hold_at_the_same_time() -> None:
    """2 in 2 minutes → 1 hour, hundreds in 3 minutes → a year, 14 in an hour → 2 hours."""
    policy = load_policy("""
        [rules.fast]
        failures = 2
        within = "2m"
        ban = "1h"
        [rules.flood]
        failures = 300
        within = "3m"
        ban = "365d"
        [rules.slow]
        failures = 14
        within = "1h"
        ban = "2h"
    """)
    assert [(rule.failures, rule.within, rule.ban) for rule in policy.rules_for("sip")] == [
        (2, 2 * MINUTE, HOUR),
        (300, 3 * MINUTE, 365 * DAY),
        (14, HOUR, 2 * HOUR),
    ]


def test_a_rule_may_exist_for_single_services_only() -> None:
    policy = load_policy("""
        [rules.first]
        failures = 5
        within = 60
        ban = 60
        [rules.calls]
        actions = "mail"
        [rules.calls.sip]
        failures = 3
        within = "1m"
        ban = "5m"
        [rules.last]
        failures = 50
        within = 60
        ban = 60
    """)
    assert list(by_name(policy, "sip")) == ["first", "calls", "last"]
    assert list(by_name(policy, "ssh")) == ["first", "last"]
    assert by_name(policy, "sip")["calls"].actions == ("mail",)


def test_a_service_may_count_bans_where_the_others_count_failures() -> None:
    text = "[rules.x]\nfailures = 3\nwithin = 60\nban = 60\n[rules.x.ssh]\nbans = 2"
    rule = by_name(load_policy(text), "ssh")["x"]
    assert (rule.failures, rule.bans) == (None, 2)
    assert load_policy(dump_policy(load_policy(text))) == load_policy(text)


def test_a_rule_may_be_switched_off_for_one_service() -> None:
    policy = load_policy(WRITTEN + "\n[rules.flood.ssh]\nenabled = false")
    assert "flood" not in by_name(policy, "ssh")
    assert "flood" in by_name(policy, "sip")


@pytest.mark.parametrize(
    ("written", "actions"),
    [
        ('["block", "mail"]', ("block", "mail")), ('["mail", "block", "mail"]', ("mail", "block")),
        ('"mail"', ("mail",)), ("[]", ()), ('"NONE"', ()), ('["NONE"]', ()),
    ],
)  # fmt: skip
def test_actions_are_any_of_block_and_mail_or_none(written: str, actions: tuple[str, ...]) -> None:
    policy = load_policy(f"[rules.x]\nfailures = 1\nwithin = 1\nban = 1\nactions = {written}")
    assert policy.rules[0].actions == actions


def test_a_table_that_repeats_what_it_inherits_overrides_nothing() -> None:
    policy = load_policy("[rules.x]\nfailures = 1\nwithin = 1\nban = 1\n[rules.x.ssh]\nban = 1")
    assert policy.overrides == {}


def test_what_is_inherited_can_be_told_from_what_is_set() -> None:
    found = tables(WRITTEN)
    assert found[("standard", EVERY)] == {"failures", "within", "ban", "actions"}
    assert found[("standard", "sip")] == {"failures", "within", "ban"}
    assert ("flood", "sip") not in found


def test_an_empty_policy_judges_nobody() -> None:
    assert load_policy("") == Policy()


# What is said when it is wrong

WHOLE = "failures = 3\nwithin = 60\nban = 60\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[rules.x]\nfailures = 0\nwithin = 1\nban = 1", "p.toml: [rules.x] failures = 0: must be a whole"),
        ("[rules.x]\nfailures = 100001", "failures = 100001: must be a whole number from 1 to 100000"),
        ("[rules.x]\nfailures = true", "failures = true: must be a whole number"),
        ("[rules.x]\nbans = 1.5", "bans = 1.5: must be a whole number"),
        ('[rules.x]\nwithin = "forever"', 'within = "forever": must be a duration from 1s to 10 years'),
        ('[rules.x]\nban = "11y"', 'ban = "11y": must be a duration from 1s to 10 years, or "forever"'),
        ("[rules.x]\nban = 0", "ban = 0: must be a duration from 1s"),
        ("[rules.x]\nfailurs = 3", "p.toml: [rules.x] failurs: there is no such setting; nearest known: failures"),
        (f"[rules.x]\n{WHOLE}[rules.x.sip]\nwithn = 3", "p.toml: [rules.x.sip] withn: there is no such setting"),
        (f"[rules.x]\n{WHOLE}[rules.x.sip]\nban = 0", "p.toml: [rules.x.sip] ban = 0: must be"),
        ("[rules.x]\nfailures = 3\nbans = 3", "[rules.x] failures and bans: a rule counts one or the other"),
        ("[rules.x]\nwithin = 3\nban = 3", "[rules.x] failures: is missing (or bans)"),
        ("[rules.x]", "[rules.x] failures: is missing"),
        ("[rules.x]\nfailures = 3\nwithin = 3", "[rules.x] ban: is missing"),
        ("[rules.x]\nfailures = 3\nwithin = 3\n[rules.x.sip]\nban = 3", "p.toml: [rules.x] ban: is missing"),
        ("[rules.x.sip]\nfailures = 3\nban = 3", "[rules.x.sip] within: is missing"),
        ('[rules.x]\nactions = ["blok"]', 'must be any of "block" and "mail", or "NONE"'),
        ('[rules.x]\nactions = ["NONE", "block"]', 'must be any of "block" and "mail", or "NONE"'),
        ('[rules.x]\ncount = "acounts"', 'count = "acounts": must be "attempts" or "accounts"; nearest: "accounts"'),
        ('[rules.x]\nper = "host"', 'per = "host": must be "address", "network" or "account"'),
        ('[rules.x]\nbans = 1\nwithin = 1\nban = 1\ncount = "accounts"', "would never fire beside bans"),
        ('[rules.x]\nbans = 1\nwithin = 1\nban = 1\nper = "account"', 'per = "account": earlier bans are of addresses'),
        ("[rules.X]", "[rules.X]: a rule's name is 1 to 32 of a-z"),
        (f"[rules.x]\n{WHOLE}[rules.x.'a b']\nban = 1", "a service's name is 1 to 32 of a-z"),
        (f"[rules.x]\n{WHOLE}[rules.x.count]\nban = 1", 'count: must be "attempts" or "accounts", not a table'),
        (f"[rules.x]\n{WHOLE}[rules.x.sip.udp]\nban = 1", "[rules.x.sip] udp: a service's table holds values only"),
        ("rules = 3", "[rules]: must be a table, not 3"),
        ("[rules]\nx = 3", "[rules.x]: must be a table, not 3"),
        ("[rule.x]", "p.toml: rule: there is no such key of a policy; nearest known: rules"),
        ("[services.ftp]\nenable = false", "[services.ftp] enable: there is no such setting; nearest known: enabled"),
        ("[limits]\nipv4_network = 33", "[limits] ipv4_network = 33: must be a whole number from 8 to 32"),
        ("[limits]\nipv6_prefix = 48", "[limits] ipv6_network = 64: must be at most ipv6_prefix (48)"),
        ('whitelist = ["10.0.0.5/8"]', '"10.0.0.5/8" has bits set beyond its prefix: the network is 10.0.0.0/8'),
        ('whitelist = ["10.0.0"]', '"10.0.0" must be an address, a network or a host name'),
        ('whitelist = "10.0.0.1"', "must be a list"),
        ("[rules.x]\nfailures = 3\nwithin == 3", "p.toml:3: not valid TOML"),
        ("[rules.x]\nfailures = 3\nfailures = 4", "p.toml:3: not valid TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_rule_key_and_what_is_right(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_policy(text, "p.toml")
    assert message in str(caught.value)


def test_a_service_that_nobody_knows_is_an_error_where_the_services_are_known() -> None:
    known = {"ssh", "own-application"}
    assert load_policy(WRITTEN, services=known) == load_policy(WRITTEN)
    with pytest.raises(SettingsError, match=r"\[rules\.flood\.shh\] shh: there is no such service; nearest known: ssh"):
        load_policy(WRITTEN + "\n[rules.flood.shh]\nban = 1", services=known)


def test_the_built_in_policy_is_accepted_where_nothing_but_ssh_is_watched() -> None:
    """It speaks of mail and telephony, which every installation may know of."""
    text = default_policy_text({})
    assert load_policy(text, services={"ssh"}) == load_policy(text)


# The policy of a fresh installation


def test_the_built_in_policy_holds_for_all_services_and_gives_sip_fourteen_tries_an_hour() -> None:
    policy = load_policy(default_policy_text({}))
    ssh, sip = by_name(policy, "ssh")["standard"], by_name(policy, "sip")["standard"]
    assert (ssh.failures, ssh.within, ssh.ban, ssh.actions) == (10, 10 * MINUTE, 10 * MINUTE, ("block",))
    assert (sip.failures, sip.within, sip.ban, sip.actions) == (14, HOUR, 2 * HOUR, ("block",))
    assert by_name(policy, "ssh")["flood"].ban == 365 * DAY


def test_no_built_in_rule_bans_for_good_and_a_forged_packet_cannot_earn_somebody_a_year() -> None:
    policy = load_policy(default_policy_text({}))
    for service in ("ssh", "sip", "imap"):
        assert all(rule.ban < math.inf for rule in policy.rules_for(service))
    assert by_name(policy, "sip")["flood"].proven


def test_who_never_tries_to_log_in_meets_a_rule_of_its_own_with_more_patience() -> None:
    for service in ("ssh", "sip", "http"):
        rules = by_name(load_policy(default_policy_text({})), service)
        for name in ("standard", "flood", "enumeration"):
            assert "!probe" in rules[name].causes
        assert "probe" in rules["probing"].causes
        assert (rules["probing"].failures or 0) >= 10 * (rules["standard"].failures or 0) or service == "sip"


@pytest.mark.parametrize("causes", ['["probe", "!forbidden"]', '["!"]', '["!!probe"]'])
def test_causes_that_say_both_what_counts_and_what_does_not_are_refused(causes: str) -> None:
    text = f'[rules.a]\nfailures = 3\nwithin = "1m"\nban = "1h"\ncauses = {causes}\n'
    with pytest.raises(SettingsError, match=r"\[rules.a\] causes = .*: .*must"):
        load_policy(text)


def test_the_built_in_enumeration_rules_can_be_reached_before_the_everyday_rule_closes_the_door() -> None:
    policy = load_policy(default_policy_text({}))
    for service in ("ssh", "sip", "imap", "pop3", "smtp"):
        rules = by_name(policy, service)
        assert (rules["enumeration"].failures or 0) < (rules["standard"].failures or 0)
        assert rules["enumeration"].ban > rules["standard"].ban


@pytest.mark.parametrize("prefix", ["SIP", "KAMAILIO"])
def test_the_environment_sets_the_sip_rule_of_a_fresh_installation(prefix: str) -> None:
    environ = {f"{prefix}_MAXRETRY": "7", f"{prefix}_FINDTIME": "1800", f"{prefix}_BANTIME": "3h"}
    changed, default = load_policy(default_policy_text(environ)), load_policy(default_policy_text({}))
    rule = by_name(changed, "sip")["standard"]
    assert (rule.failures, rule.within, rule.ban) == (7, 30 * MINUTE, 3 * HOUR)
    assert difference(default, changed) == [
        "rule standard for sip: failures 14 → 7",
        "rule standard for sip: within 1h → 30m",
        "rule standard for sip: ban 2h → 3h",
    ]


def test_sip_wins_over_kamailio_and_an_empty_variable_is_none() -> None:
    environ = {"SIP_MAXRETRY": "7", "KAMAILIO_MAXRETRY": "9", "SIP_BANTIME": "", "KAMAILIO_BANTIME": "-1"}
    rule = by_name(load_policy(default_policy_text(environ)), "sip")["standard"]
    assert (rule.failures, rule.within, rule.ban) == (7, HOUR, math.inf)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SIP_MAXRETRY", "0"), ("SIP_MAXRETRY", "many"), ("SIP_MAXRETRY", "٣"), ("KAMAILIO_FINDTIME", "-1"),
     ("SIP_FINDTIME", "forever"), ("SIP_BANTIME", '1h"\n[rules.x]'), ("SIP_BANTIME", "0")],
)  # fmt: skip
def test_a_bad_variable_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"^environment variable {variable} = .*: must be a") as caught:
        default_policy_text({variable: value})
    assert "\n" not in str(caught.value)


# Writing, comparing, switching

FEW = st.sampled_from(["a", "b", "standard"])  # so that two policies have some in common
NAMES = FEW | st.from_regex(r"[a-z0-9_-]{1,8}", fullmatch=True).filter(lambda name: name not in RULE_FORMS)
SERVICES = st.sampled_from(["sip", "ssh", "iax"])
FINITE = st.one_of(st.integers(1, TEN_YEARS).map(float), st.integers(8, 10**6).map(lambda n: n / 8))


@st.composite
def rules(draw: st.DrawFn, name: str) -> Rule:
    counts_bans = draw(st.booleans())
    per: Per = draw(st.sampled_from(("address", "network", "account")))
    number = draw(st.integers(1, 100_000))
    return Rule(
        name=name,
        failures=None if counts_bans else number,
        bans=number if counts_bans else None,
        within=draw(FINITE),
        ban=draw(FINITE | st.just(math.inf)),
        actions=draw(st.sampled_from([(), ("block",), ("mail",), ("mail", "block")])),
        count="attempts" if counts_bans or per == "account" else draw(st.sampled_from(["attempts", "accounts"])),
        per="address" if counts_bans and per == "account" else per,
        scope=draw(st.sampled_from(["service", "all"])),
        causes=tuple(draw(st.lists(st.sampled_from(["password", "no account", 'odd "\\ ü']), unique=True, max_size=2))),
        proven=draw(st.booleans()),
        enabled=draw(st.booleans()),
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any policy that TOML can express: rules for all services, rules for single ones, overrides."""
    names = draw(st.lists(NAMES, unique=True, max_size=4))
    general = {name: draw(rules(name)) for name in names if draw(st.booleans())}
    base = tuple(general.values())
    overrides = {}
    for service in draw(st.lists(SERVICES, unique=True)):
        special = {name: draw(rules(name)) for name in names if draw(st.booleans())}
        own = tuple((special.get(name) or general[name]) for name in names if name in special or name in general)
        if own != base:
            overrides[service] = own
    prefix = draw(st.integers(16, 128))
    return Policy(
        rules=base,
        overrides=overrides,
        disabled=draw(st.frozensets(SERVICES)),
        whitelist=draw(st.sampled_from([(), ("10.0.0.0/8", "office.example.net", "2001:db8::1")])),
        limits=Limits(ipv6_prefix=prefix, ipv6_network=draw(st.integers(16, prefix))),
    )


@given(policies())
def test_a_policy_that_is_written_is_read_back_the_same(policy: Policy) -> None:
    assert load_policy(dump_policy(policy)) == policy


@given(policies(), policies())
def test_no_difference_is_shown_exactly_when_there_is_none(old: Policy, new: Policy) -> None:
    assert difference(old, old) == []
    assert bool(difference(old, new)) == (old != new)


@given(policies(), SERVICES, st.booleans())
@settings(max_examples=50)
def test_switching_a_service_changes_nothing_else(policy: Policy, service: str, enabled: bool) -> None:
    expected = policy.disabled - {service} if enabled else policy.disabled | {service}
    switched = load_policy(switch_service(dump_policy(policy), service, enabled=enabled))
    assert switched == structs.replace(policy, disabled=expected)


def test_switching_a_service_keeps_the_comments_of_the_file() -> None:
    off = switch_service(WRITTEN, "http", enabled=False)
    assert off == WRITTEN.rstrip() + "\n\n[services.http]\nenabled = false\n"
    on = off.replace("[services.http]\nenabled = false", "[services.http]\nenabled = true")
    assert switch_service(off, "http", enabled=True) == on
    assert switch_service(WRITTEN, "ftp", enabled=False) == WRITTEN
    assert load_policy(switch_service("services = {ftp = {enabled = false}}", "ftp", enabled=True)) == Policy()


def test_a_difference_reads_like_a_sentence_about_each_change() -> None:
    old = load_policy(WRITTEN)
    new = load_policy(
        WRITTEN.replace("failures = 100", "failures = 200").replace("bans = 3", "bans = 4")
        .replace('ban = "2h"', 'ban = "forever"\nactions = ["mail"]').replace("[services.ftp]", "[services.http]")
        .replace('"10.0.0.0/8"', '"192.0.2.7"')
        + '[limits]\nharmless = 9\n[rules.net]\nfailures = 50\nwithin = "1h"\nban = "1d"\n'
        + 'per = "network"\nscope = "all"\n'
    )  # fmt: skip
    assert difference(old, new) == [
        "rule flood: failures 100 → 200",
        "rule repeat: bans 3 → 4",
        "rule net: added: 50 attempts within 1h per network: block, all services for 1d",
        "rule standard for sip: ban 2h → forever",
        'rule standard for sip: actions ["block"] → ["mail"]',
        "service http: switched off",
        "service ftp: switched on",
        "whitelist: 192.0.2.7 added",
        "whitelist: 10.0.0.0/8 removed",
        "limits: harmless 5 → 9",
    ]


def test_a_rule_is_told_in_one_line() -> None:
    assert [describe_rule(rule) for rule in load_policy(WRITTEN).rules_for("sip")] == [
        "14 attempts within 1h per address: block, service for 2h",
        "100 attempts within 3m per address: block, service for 365d",
        "6 accounts within 10m per address: block, service for 1d",
        "3 bans within 7d per address: block, service forever",
    ]


def test_orders_that_contradict_each_other_cannot_be_written() -> None:
    first, second = (Rule(name=name, failures=1, within=1, ban=1) for name in "ab")
    with pytest.raises(SettingsError, match="contradict"):
        dump_policy(Policy(rules=(first, second), overrides={"sip": (second, first)}))


def test_rules_keep_the_order_of_the_file() -> None:
    names: list[Any] = [f"r{number}" for number in (5, 1, 9, 3)]
    text = "".join(f"[rules.{name}]\n{WHOLE}" for name in names)
    assert [rule.name for rule in load_policy(text).rules] == names
    swapped = "".join(f"[rules.{name}]\n{WHOLE}" for name in reversed(names))
    assert difference(load_policy(text), load_policy(swapped)) == ["rules: in another order"]
    written = dump_policy(load_policy(text))
    assert all(written.index(f"rules.{one}]") < written.index(f"rules.{other}]") for one, other in pairwise(names))
