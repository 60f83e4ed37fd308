"""The sentences clinicians write around the diagnoses: complaints, findings, reports, courses and advice.

phrases.txt holds `section|sentence` with slots in braces; `{w}` is a rare word (vocabulary.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from chartcode.sources.synthetic import resources
from chartcode.sources.synthetic.prescriptions import instruction

Uniform = Callable[[], float]
Slot = Callable[["Voice"], str]

SYMPTOMS = (
    "abdominal pain", "nausea", "vomiting", "chest pain", "shortness of breath", "fever", "chills", "headache",
    "dizziness",
    "lightheadedness", "palpitations", "cough", "fatigue", "weakness", "leg swelling", "back pain", "diarrhea",
    "dysuria", "weight loss",
    "night sweats", "confusion", "falls", "rash", "poor oral intake", "melena", "hematochezia", "hematuria",
    "numbness", "visual changes",
    "sore throat", "joint pain", "wheezing", "orthopnea", "flank pain", "malaise", "blurry vision",
    "dyspnea on exertion", "syncope",
    "congestion", "difficulty swallowing", "neck stiffness", "bleeding", "drainage", "swelling", "tingling",
    "gait instability",
)  # fmt: skip
SITES = (
    "abdomen", "chest", "pelvis", "liver", "spleen", "bladder", "colon", "neck", "head", "gallbladder", "pancreas",
    "thyroid", "lungs",
    "kidneys", "heart", "small bowel", "rectum", "adrenal glands", "spine", "sinuses", "aorta", "stomach", "brain",
    "biliary tree",
)  # fmt: skip
_ANALGESICS = ("acetaminophen", "oxycodone", "hydromorphone", "tramadol", "ketorolac", "ibuprofen", "morphine")
LIMBS = ("hip", "knee", "shoulder", "ankle", "wrist", "groin", "flank", "foot", "lower extremity", "thigh", "calf",
    "forearm", "hand",
         "arm", "leg", "elbow", "heel", "great toe", "buttock", "breast", "chest wall", "upper extremity")  # fmt: skip
_LOBES = (
    "lower lobe",
    "upper lobe",
    "lung base",
    "kidney",
    "adrenal gland",
    "hilum",
    "basal ganglia",
    "frontal lobe",
    "femur",
    "iliac wing",
)
_QUADRANTS = (
    "right upper quadrant",
    "left upper quadrant",
    "right lower quadrant",
    "left lower quadrant",
    "epigastrium",
    "suprapubic area",
)
_VESSELS = (
    "right atrium",
    "superior vena cava",
    "cavoatrial junction",
    "right internal jugular vein",
    "aortic arch",
    "iliac arteries",
)
_SPINE = (
    "cervical spine",
    "thoracic spine",
    "lumbar spine",
    "left hip",
    "right hip",
    "right shoulder",
    "left shoulder",
)
_GUT = (
    "esophagus",
    "gastric body",
    "antrum",
    "duodenal bulb",
    "second part of the duodenum",
    "gastroesophageal junction",
)
_LEVELS = ("ankles", "mid shins", "knees", "thighs", "sacrum")
_TESTS = ("CT scan", "MRI", "chest x-ray", "ultrasound", "heart ultrasound", "nuclear scan", "camera test")
STUDIES = (
    "CT", "CTA", "MRI", "ultrasound", "CXR", "KUB", "TTE", "TEE", "EGD", "colonoscopy", "PET", "X-ray", "MRCP", "ERCP",
    "EEG", "LENIs",
    "RUQ ultrasound", "CT A/P", "HIDA", "nuclear stress", "PFTs", "EMG", "renal ultrasound", "bronchoscopy",
)  # fmt: skip
SERVICES = (
    "Cardiology", "Nephrology", "Neurology", "General surgery", "Infectious disease", "Gastroenterology", "Hematology",
    "Oncology",
    "Psychiatry", "Orthopedics", "Urology", "Vascular surgery", "Pulmonary", "Endocrine", "Rheumatology",
    "Social work", "Geriatrics",
    "Dermatology", "Speech and swallow", "Toxicology", "Podiatry",
)  # fmt: skip
DRUGS = (
    "acetaminophen", "ondansetron", "heparin sc", "docusate", "senna", "ibuprofen", "hydromorphone", "morphine",
    "oxycodone",
    "multivitamin", "cephalexin", "cefazolin", "metronidazole", "amoxicillin", "prednisone", "methylprednisolone",
    "lidocaine patch",
    "guaifenesin", "diphenhydramine", "simethicone", "magnesium oxide", "calcium carbonate", "vitamin d", "fish oil",
    "meclizine",
    "prochlorperazine", "valacyclovir", "fluconazole", "acyclovir", "dexamethasone", "ketorolac", "baclofen",
    "cyclobenzaprine",
    "topiramate", "lamotrigine", "levetiracetam", "risperidone", "olanzapine", "haloperidol", "aripiprazole",
    "oxybutynin",
    "latanoprost", "artificial tears", "clindamycin", "doxycycline", "meropenem", "linezolid",
    "daptomycin",
    "filgrastim", "epoetin", "ursodiol", "mesalamine", "tacrolimus", "mycophenolate", "azathioprine", "cyclosporine",
    "bactrim",
    "loperamide", "sucralfate", "potassium chloride", "sodium bicarbonate", "nystatin", "miconazole powder",
    "chlorhexidine",
)  # fmt: skip
_QUALITIES = (
    "dull",
    "sharp",
    "crampy",
    "burning",
    "pressure-like",
    "intermittent",
    "constant",
    "throbbing",
    "stabbing",
    "colicky",
)
FEELINGS = ("well appearing", "comfortable", "tired", "anxious appearing", "pleasant", "cooperative", "lethargic",
    "frail", "improved",
            "somnolent but arousable", "thin", "pale", "interactive")  # fmt: skip
_TRIGGERS = (
    "exertion",
    "meals",
    "movement",
    "lying flat",
    "inspiration",
    "standing",
    "palpation",
    "cold weather",
    "stress",
)
ANALYTES = ("lactate", "troponin", "lipase", "ALT", "AST", "alk phos", "CRP", "ferritin", "ammonia", "CK", "LDH",
    "BNP", "ESR",
            "procalcitonin", "phosphate", "albumin", "haptoglobin", "TSH", "cortisol", "B12", "folate",
            "vancomycin trough")  # fmt: skip
_SPECIMENS = ("BLOOD", "URINE", "SPUTUM", "STOOL", "WOUND", "PLEURAL FLUID", "PERITONEAL FLUID", "CSF")
_DISPOSITIONS = (
    "discharge to rehab",
    "home with services",
    "home physical therapy",
    "discharge home",
    "a skilled facility",
)
SIDES = ("left", "right")


class Voice:
    """One author in one note: a source of uniforms, the patient's pronouns and a supply of rare words."""

    def __init__(self, uniform: Uniform, sex: int, words: Sequence[str], rare_share: float) -> None:
        self.uniform = uniform
        self.they = "he" if sex == 0 else "she"
        self.their = "his" if sex == 0 else "her"
        self.spouse = "wife" if sex == 0 else "husband"
        self._words, self._next, self._rare_share = words, 0, rare_share

    def pick(self, choices: Sequence[str]) -> str:
        """One of `choices`, all alike."""
        return choices[int(self.uniform() * len(choices))]

    def pick_sentence(self, sentences: Sequence[Sequence[str | Slot]]) -> Sequence[str | Slot]:
        """One of `sentences`, all alike."""
        return sentences[int(self.uniform() * len(sentences))]

    def number(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""
        return low + int(self.uniform() * (high - low + 1))

    def rare(self) -> str:
        """The next word of the note's supply; a common adjective in its stead where the supply is rationed."""
        if self.uniform() >= self._rare_share or self._next >= len(self._words):
            return self.pick(_COMMON)
        self._next += 1
        return self._words[self._next - 1]

    def say(self, sentence: Sequence[str | Slot]) -> str:
        """A sentence with its slots filled."""
        return "".join([part if isinstance(part, str) else part(self) for part in sentence])


_COMMON = ("mild", "focal", "diffuse", "chronic", "interval", "nonspecific", "patchy", "peripheral", "proximal",
    "distal", "superficial",
           "subtle", "moderate", "small", "residual", "incidental", "scattered", "benign", "reactive", "dependent",
           "linear", "simple",
           "prior", "extensive", "trace", "postsurgical", "inflammatory", "central", "posterior",
           "anterior")  # fmt: skip


def _among(choices: Sequence[str]) -> Slot:
    size = len(choices)
    return lambda voice: choices[int(voice.uniform() * size)]


def _number(low: int, high: int) -> Slot:
    span = high - low + 1
    return lambda voice: str(low + int(voice.uniform() * span))


def _order(voice: Voice) -> str:
    drug = voice.pick(DRUGS)
    return f"{drug} {instruction(drug, voice.uniform)}"


_SLOTS: dict[str, Slot] = {
    "w": lambda voice: voice.rare(),
    "They": lambda voice: voice.they.capitalize() if voice.uniform() < 0.6 else "Patient",
    "they": lambda voice: voice.they,
    "Their": lambda voice: voice.their.capitalize(),
    "their": lambda voice: voice.their,
    "spouse": lambda voice: voice.spouse,
    "symptom": _among(SYMPTOMS),
    "site": _among(SITES),
    "side": _among(SIDES),
    "limb": _among(LIMBS),
    "lobe": _among(_LOBES),
    "quadrant": _among(_QUADRANTS),
    "vessel": _among(_VESSELS),
    "spine": _among(_SPINE),
    "gut": _among(_GUT),
    "level": _among(_LEVELS),
    "test": _among(_TESTS),
    "study": _among(STUDIES),
    "service": _among(SERVICES),
    "drug": _among(DRUGS),
    "analgesic": _among(_ANALGESICS),
    "order": _order,
    "quality": _among(_QUALITIES),
    "feeling": _among(FEELINGS),
    "trigger": _among(_TRIGGERS),
    "analyte": _among(ANALYTES),
    "specimen": _among(_SPECIMENS),
    "dispo": _among(_DISPOSITIONS),
    "temp": lambda voice: f"{96.8 + 4.2 * voice.uniform() ** 2:.1f}",
    "hr": lambda voice: str(voice.number(54, 118)),
    "bp": lambda voice: f"{voice.number(92, 174)}/{voice.number(48, 96)}",
    "rr": lambda voice: str(voice.number(14, 24)),
    "sat": lambda voice: str(voice.number(91, 100)),
}


def compile_sentence(text: str) -> tuple[str | Slot, ...]:
    """Split a sentence at its slots. Raises KeyError for a slot that does not exist."""
    parts: list[str | Slot] = []
    for index, piece in enumerate(re.split(r"\{([^}]+)\}", text)):
        if index % 2 == 0:
            if piece:
                parts.append(piece)
        elif piece.startswith("n:"):
            low, high = piece[2:].split("-")
            parts.append(_number(int(low), int(high)))
        else:
            parts.append(_SLOTS[piece])
    return tuple(parts)


@lru_cache(maxsize=1)
def bank() -> dict[str, tuple[tuple[str | Slot, ...], ...]]:
    """Sentences of each section."""
    sections: dict[str, list[tuple[str | Slot, ...]]] = {}
    text = resources.text("phrases.txt")
    for line in text.splitlines():
        section, _, sentence = line.partition("|")
        sections.setdefault(section, []).append(compile_sentence(sentence))
    return {section: tuple(sentences) for section, sentences in sections.items()}
