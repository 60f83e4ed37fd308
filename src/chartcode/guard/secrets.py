"""Rule about secrets in text: detect-secrets' detectors of known shapes, and the shapes of this house that it lacks.

Its detectors by entropy and by keyword are left out: on lock files and on code about passwords they cry wolf. Nothing
is verified over the network.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Iterator
from typing import Any

from chartcode.errors import DataError
from chartcode.guard.blobs import Blob
from chartcode.guard.files import Span

_DETECTORS = (
    "artifactory.ArtifactoryDetector",
    "aws.AWSKeyDetector",
    "azure_storage_key.AzureStorageKeyDetector",
    "basic_auth.BasicAuthDetector",
    "cloudant.CloudantDetector",
    "discord.DiscordBotTokenDetector",
    "github_token.GitHubTokenDetector",
    "gitlab_token.GitLabTokenDetector",
    "ibm_cloud_iam.IbmCloudIamDetector",
    "ibm_cos_hmac.IbmCosHmacDetector",
    "jwt.JwtTokenDetector",
    "mailchimp.MailchimpDetector",
    "npm.NpmDetector",
    "openai.OpenAIDetector",
    "private_key.PrivateKeyDetector",
    "pypi_token.PypiTokenDetector",
    "sendgrid.SendGridDetector",
    "slack.SlackDetector",
    "square_oauth.SquareOAuthDetector",
    "stripe.StripeDetector",
    "telegram_token.TelegramBotTokenDetector",
    "twilio.TwilioKeyDetector",
)
_NAMED = r"(?:sas_token|account_key|connection_string|client_secret|secret_access_key|password)"
_OWN = re.compile(
    rf"""(?xi)
      \bsig=[A-Za-z0-9%+/_-]{{30,}}                              # Azure shared access signature
    | \b(?:AccountKey|SharedAccessKey|SharedAccessSignature)\s*=\s*["']?[A-Za-z0-9+/]{{20,}}
    | \bmachine\s+\S+\s+login\s+\S+\s+password\s+(?!["']?[<${{*.])\S+  # .netrc, as wget reads it for PhysioNet
    | \b(?:http-)?password[=\ ](?!["']?[<$%{{])["']?[^\s"'=|)\]]{{6,}}["']?\s.*physionet
    | physionet.*--(?:http-)?password[=\ ](?!["']?[<$%{{])\S{{4,}}
    | \bhf_[A-Za-z0-9]{{30,}}                                    # Hugging Face
    | \bdapi[0-9a-f]{{32}}                                       # Databricks
    | -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY                           # what detect-secrets does not list: ENCRYPTED ...
    | ["']{_NAMED}["']?\s*[:=]\s*["'](?![<${{])[^\s"'<>{{}}]{{12,}}["']
    """
)
_SETTINGS = re.compile(r"(?:^|/)(?:config(?:\.local)?|[^/]*\.(?:ya?ml|toml|ini|cfg|conf|env|properties))$")
_SETTING = re.compile(rf"(?im)^\s*[\w.-]*{_NAMED}\s*[:=]\s*(?!['\"]?[<$]|null\b)\S{{6,}}")

_PIECE, _OVERLAP = 4096, 512  # code points


@functools.cache
def _detectors() -> tuple[Any, ...]:
    try:
        found = [name.split(".") for name in _DETECTORS]
        return tuple(getattr(importlib.import_module(f"detect_secrets.plugins.{m}"), c)() for m, c in found)
    except ModuleNotFoundError:
        raise DataError("guard: detect-secrets is not installed; run `make install-dev`") from None


def secrets(blob: Blob) -> Iterator[Span]:
    """Keys, tokens, passwords and private keys. Raises DataError where detect-secrets is not installed."""
    for offset, piece in _pieces(blob.text):
        for start, end in _in_piece(piece, bool(_SETTINGS.search(blob.path))):
            yield (offset + start, offset + end)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """The text whole, or cut into overlapping pieces where lines are so long that these patterns take minutes."""
    if max(map(len, text.split("\n"))) <= _PIECE:
        yield 0, text
        return
    for line in re.finditer(r"[^\n]+", text):
        for start in range(line.start(), line.end(), _PIECE - _OVERLAP):
            yield start, text[start : min(start + _PIECE, line.end())]


def _in_piece(text: str, settings: bool) -> Iterator[Span]:
    for detector in _detectors():
        for secret in set(detector.analyze_string(text)):
            start = text.find(secret)
            while start >= 0:
                yield (start, start + len(secret))
                start = text.find(secret, start + len(secret))
    yield from (found.span() for found in _OWN.finditer(text))
    if settings:
        yield from (found.span() for found in _SETTING.finditer(text))
