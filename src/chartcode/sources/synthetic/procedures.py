"""Procedures done during a stay: how the note names them and how they are coded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Uniform = Callable[[], float]


@dataclass(frozen=True)
class Procedure:
    """Words of the note, ICD-10-PCS code, ICD-9-CM procedure code, and the wards that do it."""

    name: str
    pcs: str
    icd9: str
    wards: tuple[str, ...] = ()


_SURGERY, _HEART, _BONES = ("SURGERY", "OMED"), ("CARDIOTHORACIC",), ("ORTHOPAEDICS",)
PROCEDURES = (
    Procedure("Central venous line placement", "02HV33Z", "3897"),
    Procedure("Endotracheal intubation", "0BH17EZ", "9604"),
    Procedure("Mechanical ventilation", "5A1945Z", "9671"), Procedure("PICC line placement", "02HV33Z", "3893"),
    Procedure("Paracentesis", "0W9G3ZZ", "5491"), Procedure("Thoracentesis", "0W9B3ZZ", "3491"),
    Procedure("Lumbar puncture", "009U3ZX", "0331"), Procedure("Esophagogastroduodenoscopy", "0DJ08ZZ", "4513"),
    Procedure("Colonoscopy", "0DJD8ZZ", "4523"), Procedure("Hemodialysis", "5A1D70Z", "3995"),
    Procedure("Transfusion of packed red cells", "30233N1", "9904"), Procedure("Tube feeding", "3E0G76Z", "966"),
    Procedure("Bronchoscopy", "0BJ08ZZ", "3322"), Procedure("Arterial line placement", "02HW32Z", "3891"),
    Procedure("Laparoscopic cholecystectomy", "0FT44ZZ", "5123", _SURGERY),
    Procedure("Laparoscopic appendectomy", "0DTJ4ZZ", "4701", _SURGERY),
    Procedure("Exploratory laparotomy with lysis of adhesions", "0DN80ZZ", "5459", _SURGERY),
    Procedure("Right hemicolectomy", "0DTF0ZZ", "4573", _SURGERY),
    Procedure("Ventral hernia repair with mesh", "0WUF0JZ", "5361", _SURGERY),
    Procedure("ERCP with sphincterotomy and stent placement", "0F798DZ", "5187", _SURGERY),
    Procedure("Incision and drainage of abscess", "0J9L0ZZ", "8604", _SURGERY),
    Procedure("Roux-en-Y gastric bypass", "0D164ZA", "4438", _SURGERY),
    Procedure("Whipple procedure", "0FTG0ZZ", "527", ("OMED", "SURGERY")),
    Procedure("Chemotherapy infusion", "3E04305", "9925", ("OMED",)),
    Procedure("Cardiac catheterization with coronary angiography", "4A023N7", "3722", _HEART),
    Procedure("Percutaneous coronary intervention with drug-eluting stent", "027034Z", "3607", _HEART),
    Procedure("Coronary artery bypass grafting x3", "021209W", "3613", _HEART),
    Procedure("Aortic valve replacement", "02RF08Z", "3521", _HEART),
    Procedure("Dual chamber pacemaker placement", "0JH606Z", "3783", _HEART),
    Procedure("DC cardioversion", "5A2204Z", "9961", _HEART),
    Procedure("Total knee arthroplasty", "0SRC0J9", "8154", _BONES),
    Procedure("Total hip arthroplasty", "0SR90JZ", "8151", _BONES),
    Procedure("Open reduction internal fixation of hip fracture", "0QS604Z", "7935", _BONES),
    Procedure("Lumbar laminectomy and fusion", "0SG00AJ", "8108", (*_BONES, "NEUROLOGY")),
    Procedure("Craniotomy for evacuation of hematoma", "00C40ZZ", "0139", ("NEUROLOGY",)),
    Procedure("EEG monitoring", "4A10X4Z", "8919", ("NEUROLOGY",)),
    Procedure("Low transverse cesarean section", "10D00Z1", "741", ("OBSTETRICS/GYNECOLOGY",)),
    Procedure("Spontaneous vaginal delivery", "10E0XZZ", "7359", ("OBSTETRICS/GYNECOLOGY",)),
)  # fmt: skip


def of_ward(ward: str, uniform: Uniform) -> list[Procedure]:
    """The procedures of one stay: none in most, mostly those of the ward."""
    own = [procedure for procedure in PROCEDURES if ward in procedure.wards]
    general = [procedure for procedure in PROCEDURES if not procedure.wards]
    found: list[Procedure] = []
    while uniform() < (0.62 if own and not found else 0.38 if not found else 0.3) and len(found) < 6:
        pool = own if own and uniform() < 0.65 else general
        choice = pool[int(uniform() * len(pool))]
        if choice not in found:
            found.append(choice)
    return found
