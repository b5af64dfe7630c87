"""Verdicts on the papers' claims: none is forgotten, and an explanation follows from figures of the run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from edgerecon.study import reasons
from edgerecon.study.claims import NOT_RUN, STATED, Stated, count, listed, settled, verdicts
from edgerecon.study.report import StudyReport, read_report
from edgerecon.study.results import PSNR, Claim, Result, Row, Table, Trained, ordering
from edgerecon.study.systems import SYSTEMS

RESULTS = Path(__file__).resolve().parents[2] / "bench/results"


@pytest.fixture(scope="module")
def quick() -> StudyReport:
    return read_report(RESULTS / "study-quick.json")


@pytest.mark.parametrize("profile", ["quick", "long"])
def test_every_claim_of_every_system_is_listed(profile: str) -> None:
    report = read_report(RESULTS / f"study-{profile}.json")
    found = listed(report.results)
    assert report.profile == profile and len(found) == len({(claim["system"], claim["text"]) for claim in found})
    assert {claim["system"] for claim in found} == set(SYSTEMS)
    assert all(claim["holds"] in (True, False, None) and claim["evidence"] for claim in found)
    stated = {(claim["system"], claim["text"]) for claim in found}
    assert all((one.name, claim.text) in stated for one in report.results for claim in one.claims)


def test_quick_decides_the_claims_of_the_papers(quick: StudyReport) -> None:
    ran = {result.name for result in quick.results}
    assert not [
        claim for stated, claim in verdicts(quick.results) if stated.system in ran and claim.evidence == NOT_RUN
    ]


def test_only_what_does_not_hold_is_explained(quick: StudyReport) -> None:
    for claim in listed(quick.results):
        assert claim["explained"] is None or claim["holds"] is False
    holds = [replace_claims(result, True) for result in quick.results]
    assert not any(claim["explained"] for claim in listed(holds))


@pytest.mark.parametrize("stated", [one for one in STATED if one.why], ids=lambda one: one.text[:50])
def test_an_explanation_is_made_of_the_figures(quick: StudyReport, stated: object) -> None:
    """Without its table there is none; with other figures it says other numbers, or nothing."""
    why = stated.why  # type: ignore[attr-defined]
    results = {result.name: result for result in quick.results}
    bare = {name: replace(result, tables=[]) for name, result in results.items()}
    assert why(bare) is None
    said = why(results)
    changed = why({name: replace(result, tables=list(map(halved, result.tables))) for name, result in results.items()})
    assert said is None or (re.search(r"\d", said) and changed != said)


def test_the_scale_of_the_rnn_paper_is_arithmetic(quick: StudyReport) -> None:
    said = reasons.another_scale({result.name: result for result in quick.results})
    assert said is not None and "= 48.13 dB" in said and "22.22 dB" in said
    assert 10 ** (-(70.35 - 48.13) / 10) == pytest.approx(0.006, abs=1e-4), "the MSE that the paper prints beside it"


def test_a_guess_of_all_lines_needs_no_explanation(quick: StudyReport) -> None:
    """A network that reaches the goal, or an adversary that helps, is not explained away."""
    table = next(t for one in quick.results for t in one.tables if t.title == reasons.MRI_TABLE)
    there = {"tomography": Result("tomography", "", "", [raised(table, "U-Net", 40.0)])}
    assert reasons.energy_never_measured(there) is None
    table = next(t for one in quick.results for t in one.tables if t.title == "Inpainting of missing lines")
    there = {"restoration": Result("restoration", "", "", [raised(table, "GAN", 40.0)])}
    assert reasons.adversary_moves_off_the_mean(table.title, "hole_psnr_db", "GAN", "CNN")(there) is None


def test_what_is_computed_from_a_frame_tells_no_more() -> None:
    long = {result.name: result for result in read_report(RESULTS / "study-long.json").results}
    reason = reasons.adds_nothing_to_the_frame("compact-despeckle (shipped)")
    assert "the ground truth, which is not computed from them" in (reason(long) or "")
    better = replace(
        long["diagnosis"],
        tables=[raised(one, "compact-despeckle (shipped), trained on it", 0.99) for one in long["diagnosis"].tables],
    )
    assert reason(long | {"diagnosis": better}) is None, "a gain would contradict it"


def test_claims_are_counted_by_their_verdict() -> None:
    texts = [one.text for one in STATED if one.system == "recurrent"]
    claims = [Claim(text, holds, "x") for text, holds in zip(texts, (True, False, None), strict=False)]
    said = count(listed([Result("recurrent", "", "", claims=claims)]))
    assert said.startswith(f"{len(STATED)} claims: 1 hold, 0 cannot hold and are explained, 1 do not hold, ")


def test_claims_name_networks_that_exist(quick: StudyReport) -> None:
    networks = {result.name: set(result.curves) for result in quick.results}
    named = [(one.system, network) for one in STATED for network in (*one.better, *one.worse)]
    assert not [pair for pair in named if pair[0] in networks and pair[1] not in networks[pair[0]]]


@pytest.mark.parametrize(
    ("holds", "better", "worse", "explained", "expected"),
    [
        (True, (9, False), (5, True), "", True),
        (True, (9, True), (5, False), "", None),
        (True, (9, False), (9, False), "", True),
        (False, (9, False), (5, True), "", None),
        (False, (9, True), (5, False), "", False),
        (False, (9, False), (5, False), "physics", None),
        (False, (9, True), (5, False), "physics", False),
        (None, (9, False), (5, False), "", None),
    ],
)
def test_a_verdict_that_training_could_turn_is_open(
    holds: bool | None, better: tuple[int, bool], worse: tuple[int, bool], explained: str, expected: bool | None
) -> None:
    """Networks as (steps, whether at the plateau): the praised one, and the one below it."""
    stated = Stated("s", "a over b", None, ("a",), ("b",))
    trained = {
        f"s/{name}": Trained(name, steps, 120.0, finished, 0.25)
        for name, (steps, finished) in (("a", better), ("b", worse))
    }
    found = settled(stated, Claim("a over b", holds, "1 > 0", explained), trained)
    assert found.holds is expected
    assert (
        "a after 9 steps in 2 min, its held-out error fell by 25.0% in the last quarter" in found.evidence
    ) != better[1]
    assert settled(stated, Claim("a over b", holds, "1 > 0"), {}).holds is holds, "a study of fixed steps"
    twice = Stated("s", "a over b", None, ("a",), ("a",))
    alone = settled(twice, Claim("a over b", holds, "1 > 0", explained), trained)
    assert explained == "" or alone.holds is False, "one network on two kinds of frames: its steps favour neither"
    unjudged = {name: replace(one, falling=None) for name, one in trained.items()}
    assert explained == "" or settled(stated, Claim("a over b", holds, "1 > 0", explained), unjudged).holds is False
    longer = unjudged | {"s/b": replace(unjudged["s/b"], steps=10)}
    turned = settled(stated, Claim("a over b", False, "1 > 0", "physics"), longer)
    assert turned.holds is (False if better[1] else None), "an adversarial network took fewer steps than its twin"


def replace_claims(result: Result, holds: bool) -> Result:
    return replace(result, claims=[replace(claim, holds=holds) for claim in result.claims])


def halved(table: Table) -> Table:
    rows = [
        replace(row, values={key: {part: v / 2 for part, v in value.items()} for key, value in row.values.items()})
        for row in table.rows
    ]
    return replace(table, rows=tuple(rows))


def raised(table: Table, method: str, level: float) -> Table:
    same = {"mean": level, "low": level, "high": level}
    rows = [replace(row, values=dict.fromkeys(row.values, same)) if row.method == method else row for row in table.rows]
    return replace(table, rows=tuple(rows))


def test_methods_closer_than_counts_have_no_order() -> None:
    rows = [
        Row(name, "trained", {"psnr_db": {"mean": mean}}) for name, mean in (("a", 36.02), ("b", 35.99), ("c", 30.0))
    ]
    table = Table("T", (PSNR,), tuple(rows), "d")
    assert ordering(table, ("a", "b", "c"), PSNR, "x").holds is None
    assert ordering(table, ("b", "c"), PSNR, "x").holds is True
    assert ordering(table, ("c", "a", "b"), PSNR, "x").holds is False
