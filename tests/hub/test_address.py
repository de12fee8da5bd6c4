import pytest

from studio.errors import SettingError
from studio.hub.address import Address, is_inside

HASH = "2d74d156bb01bad125b6dc62b0f75df4a8447d44"


@pytest.mark.parametrize(
    "text, address",
    [
        ("ann/brush", Address("ann/brush")),
        (" ann/brush ", Address("ann/brush", "main", "")),
        ("ann/brush@v1.0", Address("ann/brush", "v1.0")),
        ("ann/brush@refs/pr/1", Address("ann/brush", "refs/pr/1")),
        ("ann/brush:weights/g.pt", Address("ann/brush", "main", "weights/g.pt")),
        (f"ann/brush@{HASH}:g.pt", Address("ann/brush", HASH, "g.pt")),
        ("https://huggingface.co/ann/brush", Address("ann/brush")),
        ("https://huggingface.co/ann/brush/", Address("ann/brush")),
        ("https://hf.co/ann/brush/tree/v1", Address("ann/brush", "v1")),
        ("https://huggingface.co/ann/brush/blob/main/a/g.pt?download=true", Address("ann/brush", "main", "a/g.pt")),
        ("https://huggingface.co/ann/brush/resolve/refs%2Fpr%2F1/g.pt", Address("ann/brush", "refs/pr/1", "g.pt")),
    ],
)
def test_what_is_meant(text: str, address: Address) -> None:
    assert Address.parse(text) == address


def test_it_reads_as_it_was_written() -> None:
    for text in ("ann/brush", "ann/brush@v1", "ann/brush:g.pt", "ann/brush@v1:a/g.pt"):
        assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("brush", "'brush' is no repository's name; give OWNER/NAME"),
        ("", "'' is no repository's name"),
        ("../../etc/passwd", "is no repository's name"),
        ("ann/..", "'ann/..' is no repository's name"),
        ("ann/a--b", "'ann/a--b' is no repository's name"),
        ("a" * 60 + "/" + "b" * 60, "is no repository's name"),
        ("ann/brush@", "'ann/brush@' ends too soon"),
        ("ann/brush:", "'ann/brush:' ends too soon"),
        ("ann/brush@../x", "'../x' is no revision; give a branch, a tag or a commit's hash"),
        ("ann/brush@a/../b", "is no revision"),
        ("ann/brush@a b", "is no revision"),
        ("ann/brush:../g.pt", "'../g.pt' is no file of a repository"),
        ("ann/brush:/etc/passwd", "is no file of a repository"),
        ("ann/brush:a\\b", "is no file of a repository"),
        ("https://example.org/ann/brush", "'example.org' is not the Hugging Face Hub"),
        ("http://127.0.0.1:8000/ann/brush", "'127.0.0.1' is not the Hugging Face Hub"),
        ("https://huggingface.co/spaces/ann/brush", "is no repository's name"),
    ],
)
def test_what_is_no_address(text: str, sentence: str) -> None:
    with pytest.raises(SettingError) as error:
        Address.parse(text)
    assert sentence in str(error.value) and "; give " in str(error.value)


def test_which_paths_stay_within_their_folder() -> None:
    assert is_inside("a") and is_inside("a/b.c") and is_inside("..a")
    for path in ("", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "C:a", "a\\b", "a\0", "a\nb"):
        assert not is_inside(path), path
