"""An invented matrix, attack pattern catalogue and weakness catalogue, small and with every case that a reader meets."""

# ruff: noqa: E501 - invented XML and JSON, one entry a line
from __future__ import annotations

from typing import Any


def stix(kind: str, number: int, name: str, external: str = "", source: str = "mitre-attack", **more: Any) -> dict[str, Any]:
    """Return one STIX object of an invented bundle."""
    references = [{"source_name": source, "external_id": external}] if external else []
    return {
        "type": kind,
        "id": f"{kind}--{number:08d}-0000-4000-8000-000000000000",
        "name": name,
        "created": "2031-02-03T04:05:06.000Z",
        "modified": "2032-03-04T05:06:07.000Z",
        "external_references": [*references, {"source_name": "Frob 2030", "url": "https://example.org"}],
        "x_mitre_domains": ["enterprise-attack"],
        "x_mitre_version": "1.0",
        **more,
    }


def ref(kind: str, number: int) -> str:
    """Return the STIX identifier that `stix` gives."""
    return f"{kind}--{number:08d}-0000-4000-8000-000000000000"


class Relationships:
    """Numbers relationships."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []

    def add(self, source: str, kind: str, target: str, description: str = "", **more: Any) -> None:
        """Add one relationship."""
        each = stix("relationship", len(self.made) + 1, "", **more)
        del each["name"]
        self.made.append(
            {**each, "source_ref": source, "relationship_type": kind, "target_ref": target, "description": description}
        )


PLATFORMS = ("Kettles", "Toasters", "Lamps", "Clocks", "Radios")
VERBS = ("boil", "toast", "dim", "wind", "tune", "rinse", "polish", "fold", "stack", "weigh", "paint", "sand")


def attack_bundle() -> dict[str, Any]:
    """Return a matrix with 5 tactics, 10 techniques (2 with 2 sub-techniques each), 6 mitigations, groups and software."""
    rel = Relationships()
    objects: list[dict[str, Any]] = []
    for n in range(5):
        objects.append(
            stix(
                "x-mitre-tactic",
                n,
                f"Stage {VERBS[n].title()}",
                f"TA90{n:02d}",
                x_mitre_shortname=f"stage-{n}",
                description=f"The adversary is trying to {VERBS[n]} what the victim has put on the table in the kitchen.",
            )
        )
    for n in range(14):
        sub = n >= 10
        top = (n - 10) // 2
        own = f"T90{top:02d}.{n % 2 + 1:03d}" if sub else f"T90{n:02d}"
        verb = VERBS[n % len(VERBS)]
        objects.append(
            stix(
                "attack-pattern",
                n,
                f"{'Small ' if sub else ''}{verb.title()} Frobs {n}",
                own,
                description=f"Adversaries may {verb} number {n} of the many spoons in the drawer to reach the sugar bowl. "
                f"(Citation: Frob (2030)) See [Other Frobs](https://example.org/techniques/T9000) and <code>spoon.exe</code>.",
                kill_chain_phases=[{"kill_chain_name": "mitre-attack", "phase_name": f"stage-{(top if sub else n) % 5}"}],
                x_mitre_platforms=[PLATFORMS[n % 5]],
                x_mitre_is_subtechnique=sub,
            )
        )
        if sub:
            rel.add(ref("attack-pattern", n), "subtechnique-of", ref("attack-pattern", top))
    for n in range(6):
        objects.append(stix("course-of-action", n, f"Lock Cupboard {n}", f"M90{n:02d}", description="Lock the cupboard."))
        for t in (n, n + 4):
            text = f"Put lock model {n * 31 + t} on the {VERBS[t]} cupboard, then ask cook {t} to hold every key of it."
            rel.add(ref("course-of-action", n), "mitigates", ref("attack-pattern", t), text)
    for n in range(6):
        objects.append(stix("x-mitre-data-component", n, f"Crumb Trail {n}", f"DC90{n:02d}", x_mitre_log_sources=[]))
    for n in range(10):
        analytic = stix(
            "x-mitre-analytic",
            n,
            f"Analytic {n}",
            f"AN90{n:02d}",
            description=f"Counts spoons that leave drawer {n * 17} while nobody of the {VERBS[n]} staff is in the kitchen at night.",
            x_mitre_platforms=[PLATFORMS[n % 5]],
            x_mitre_log_source_references=[
                {"x_mitre_data_component_ref": ref("x-mitre-data-component", n % 6), "name": "drawer", "channel": "None"}
            ],
        )
        strategy = stix(
            "x-mitre-detection-strategy", n, f"Watch {n}", f"DET90{n:02d}", x_mitre_analytic_refs=[ref("x-mitre-analytic", n)]
        )
        objects += [analytic, strategy]
        rel.add(ref("x-mitre-detection-strategy", n), "detects", ref("attack-pattern", n))
    for n in range(6):
        objects.append(
            stix(
                "intrusion-set",
                n,
                f"Guild {n}",
                f"G90{n:02d}",
                aliases=[f"Guild {n}", f"Brass Spoon {n}"],
                description=f"[Guild {n}](https://example.org/groups/G90{n:02d}) has robbed kitchens of street {n} since the year of the flood.",
            )
        )
        objects.append(
            stix(
                "malware" if n % 2 else "tool",
                n,
                f"Whisk {n}",
                f"S90{n:02d}",
                x_mitre_aliases=[f"Whisk {n}"],
                x_mitre_platforms=[PLATFORMS[n % 5]],
                description=f"[Whisk {n}](https://example.org/software/S90{n:02d}) is a stirring program that was written in dialect {n}.",
            )
        )
        kind = "malware" if n % 2 else "tool"
        rel.add(ref("intrusion-set", n), "uses", ref(kind, n))
        rel.add(
            ref("intrusion-set", n),
            "uses",
            ref("attack-pattern", n),
            f"Guild {n} has taken {n + 3} spoons out of a locked drawer by night.",
        )
        rel.add(
            ref(kind, n),
            "uses",
            ref("attack-pattern", n + 2),
            f"Whisk {n} can count {n + 5} sugar bowls on the table before the meal.",
        )
    objects.append(stix("campaign", 0, "Great Supper", "C9000", description="A supper.", first_seen="2030-01-01T00:00:00Z"))
    rel.add(ref("campaign", 0), "attributed-to", ref("intrusion-set", 0))
    rel.add(
        ref("campaign", 0),
        "uses",
        ref("attack-pattern", 9),
        "During the supper, all nine ladles were taken from the wall hooks.",
    )
    # What a reader has to leave out or to redirect.
    objects.append(stix("attack-pattern", 90, "Old Frobs", "T9090", revoked=True))
    objects.append(stix("attack-pattern", 91, "Older Frobs", "T9091", revoked=True))
    objects.append(stix("attack-pattern", 92, "Dead Frobs", "T9092", x_mitre_deprecated=True))
    rel.add(ref("attack-pattern", 91), "revoked-by", ref("attack-pattern", 90))
    rel.add(ref("attack-pattern", 90), "revoked-by", ref("attack-pattern", 3))
    rel.add(ref("intrusion-set", 5), "uses", ref("attack-pattern", 91), "Guild 5 still uses what was replaced twice.")
    rel.add(ref("intrusion-set", 5), "uses", ref("attack-pattern", 92), "Gone.")
    rel.add(ref("intrusion-set", 4), "uses", ref("attack-pattern", 8), "Withdrawn.", revoked=True)
    rel.add(ref("attack-pattern", 91), "subtechnique-of", ref("attack-pattern", 7))
    return {"type": "bundle", "id": "bundle--1", "objects": [*objects, *rel.made]}


def capec_bundle() -> dict[str, Any]:
    """Return one meta pattern with two standard ones, each of these with four detailed ones, and a deprecated one."""
    objects: list[dict[str, Any]] = []
    rel = Relationships()
    for n in range(11):
        level, parent = ("Meta", None) if n == 0 else ("Standard", 0) if n < 3 else ("Detailed", 1 + n % 2)
        each = stix(
            "attack-pattern",
            n,
            f"{VERBS[n].title()} the Ledger",
            f"CAPEC-90{n:02d}",
            "capec",
            description=f"An adversary may take page {n * 7} out of the big book by means that the {VERBS[n]} clerk does not see.",
            x_capec_version="9.9",
            x_capec_abstraction=level,
            x_capec_status="Draft",
            x_capec_typical_severity=("Low", "High", "Very High")[n % 3],
            x_capec_prerequisites=[f"<xhtml:p>The {VERBS[n]} clerk must leave door {n} open at noon on market days.</xhtml:p>"],
            x_capec_consequences={
                "Confidentiality": ["Read Data", f"Gain Ink {n % 4} (only blue)"],
                "Access_Control": ["Read Data"],
            },
            x_capec_child_of_refs=[] if parent is None else [ref("attack-pattern", parent)],
            x_capec_can_precede_refs=[ref("attack-pattern", n + 1)] if n in (3, 4) else [],
        )
        each["external_references"] += [
            {"source_name": "cwe", "external_id": f"CWE-9{n:02d}"},
            {"source_name": "ATTACK", "external_id": "T9091" if n == 10 else f"T90{n % 10:02d}"},
        ]
        objects.append(each)
        objects.append(
            stix(
                "course-of-action",
                n,
                f"coa-90{n:02d}-0",
                description=f"Number the pages of book {n} and let the {VERBS[n]} master count them daily.",
            )
        )
        rel.add(ref("course-of-action", n), "mitigates", ref("attack-pattern", n))
    objects.append(
        stix(
            "attack-pattern", 99, "DEPRECATED: Blots", "CAPEC-9099", "capec", x_capec_version="9.9", x_capec_status="Deprecated"
        )
    )
    return {"type": "bundle", "id": "bundle--2", "objects": [*objects, *rel.made]}


def capec_xml() -> str:
    """Return two patterns in the shape of MITRE's XML, and a deprecated one."""
    return """<?xml version="1.0"?>
<Attack_Pattern_Catalog xmlns="http://capec.example.org/capec-3" xmlns:xhtml="http://www.w3.org/1999/xhtml"
    Name="CAPEC" Version="9.9" Date="2031-01-02">
  <Attack_Patterns>
    <Attack_Pattern ID="9000" Name="Boil the Ledger" Abstraction="Meta" Status="Stable">
      <Description>An adversary boils it.</Description>
    </Attack_Pattern>
    <Attack_Pattern ID="9001" Name="Toast the Ledger" Abstraction="Standard" Status="Draft">
      <Description><xhtml:p>An adversary toasts it.</xhtml:p><xhtml:p>Slowly.</xhtml:p></Description>
      <Likelihood_Of_Attack>High</Likelihood_Of_Attack>
      <Typical_Severity>Low</Typical_Severity>
      <Related_Attack_Patterns>
        <Related_Attack_Pattern Nature="ChildOf" CAPEC_ID="9000"/>
        <Related_Attack_Pattern Nature="CanFollow" CAPEC_ID="9000"/>
        <Related_Attack_Pattern Nature="ChildOf" CAPEC_ID="9099"/>
      </Related_Attack_Patterns>
      <Prerequisites><Prerequisite>A toaster.</Prerequisite></Prerequisites>
      <Skills_Required><Skill Level="Low">Pushing a lever.</Skill></Skills_Required>
      <Consequences><Consequence><Scope>Integrity</Scope><Scope>Availability</Scope><Impact>Modify Data</Impact>
        <Note>Brown.</Note></Consequence></Consequences>
      <Mitigations><Mitigation>Unplug the toaster.</Mitigation></Mitigations>
      <Related_Weaknesses><Related_Weakness CWE_ID="901"/></Related_Weaknesses>
      <Taxonomy_Mappings>
        <Taxonomy_Mapping Taxonomy_Name="ATTACK"><Entry_ID>9001</Entry_ID><Entry_Name>x</Entry_Name></Taxonomy_Mapping>
        <Taxonomy_Mapping Taxonomy_Name="WASC"><Entry_ID>5</Entry_ID></Taxonomy_Mapping>
      </Taxonomy_Mappings>
      <Content_History><Submission><Submission_Date>2030-05-06</Submission_Date></Submission>
        <Modification><Modification_Date>2031-01-01</Modification_Date></Modification></Content_History>
    </Attack_Pattern>
    <Attack_Pattern ID="9099" Name="DEPRECATED: Blots" Abstraction="Standard" Status="Deprecated"/>
  </Attack_Patterns>
</Attack_Pattern_Catalog>
"""


IMPACTS = ("Read Memory", "Modify Memory", "Bypass Protection Mechanism", "Hide Activities", "Gain Privileges", "Other")


def _weakness(n: int) -> str:
    level = "Pillar" if n == 0 else "Class" if n < 3 else ("Base", "Variant")[n % 2]
    parent = (
        ""
        if n == 0
        else f'<Related_Weakness Nature="ChildOf" CWE_ID="{900 if n < 3 else 901 + n % 2}" View_ID="1000" Ordinal="Primary"/>'
    )
    chain = f'<Related_Weakness Nature="CanPrecede" CWE_ID="{901 + n}" View_ID="1000"/>' if n in (4, 5) else ""
    elsewhere = '<Related_Weakness Nature="ChildOf" CWE_ID="900" View_ID="1003"/>' if n == 6 else ""
    return f"""<Weakness ID="{900 + n}" Name="Improper {VERBS[n].title()} of Jars ('Jar{n}')" Abstraction="{level}" Status="Draft">
      <Description>The pantry holds jar {n * 13} in a way that lets any {VERBS[n]} guest take the lid off it.</Description>
      <Extended_Description><xhtml:p>First.</xhtml:p><xhtml:ul><xhtml:li>Second [REF-7].</xhtml:li></xhtml:ul></Extended_Description>
      <Related_Weaknesses>{parent}{chain}{elsewhere}<Related_Weakness Nature="ChildOf" CWE_ID="998" View_ID="1000"/></Related_Weaknesses>
      <Applicable_Platforms><Language Name="Tongue {n % 6}" Prevalence="Often"/></Applicable_Platforms>
      <Alternate_Terms><Alternate_Term><Term>Lidlessness {n}</Term><Description>x</Description></Alternate_Term></Alternate_Terms>
      <Modes_Of_Introduction><Introduction><Phase>{("Design", "Build", "Operation", "Test", "Transport")[n % 5]}</Phase></Introduction></Modes_Of_Introduction>
      <Likelihood_Of_Exploit>High</Likelihood_Of_Exploit>
      <Common_Consequences><Consequence><Scope>Integrity</Scope><Impact>{IMPACTS[n % 6]}</Impact><Note>n</Note></Consequence></Common_Consequences>
      <Detection_Methods><Detection_Method><Method>Method {n}</Method><Description>Lift lid {n} with {VERBS[n]} tongs before every meal of the day.</Description></Detection_Method></Detection_Methods>
      <Potential_Mitigations><Mitigation><Phase>Build</Phase><Description>Glue lid {n} on with {VERBS[n]} resin and mark the jar with number {n * 3}.</Description></Mitigation></Potential_Mitigations>
      <Observed_Examples><Observed_Example><Reference>CVE-2099-{10000 + n}</Reference><Description>Pantry program of maker {n} lets guests count the plums through a hole.</Description></Observed_Example></Observed_Examples>
      <Related_Attack_Patterns><Related_Attack_Pattern CAPEC_ID="{9000 + n}"/></Related_Attack_Patterns>
      <Mapping_Notes><Usage>{"Discouraged" if n < 3 else "Allowed"}</Usage><Rationale>Because.</Rationale></Mapping_Notes>
      <Content_History><Submission><Submission_Date>2029-01-0{n % 9 + 1}</Submission_Date></Submission><Modification><Modification_Date>2030-01-01</Modification_Date></Modification></Content_History>
    </Weakness>"""


def cwe_xml() -> str:
    """Return 12 weaknesses under one pillar and two classes, and a deprecated one."""
    return f"""<?xml version="1.0"?>
<Weakness_Catalog Name="CWE" Version="9.1" Date="2031-04-05" xmlns="http://cwe.example.org/cwe-7" xmlns:xhtml="http://www.w3.org/1999/xhtml">
  <Weaknesses>{"".join(map(_weakness, range(12)))}
    <Weakness ID="998" Name="DEPRECATED: Jars" Abstraction="Base" Status="Deprecated"><Description>Gone.</Description></Weakness>
  </Weaknesses>
</Weakness_Catalog>
"""
