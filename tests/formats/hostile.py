"""Files that want to do harm, each made by a function that gets a folder and the canary's path and returns the file.

A canary is a file that must never come to be: whatever runs a payload makes it.
"""

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

Make = Callable[[Path, Path], Path]
FILES: dict[str, tuple[Make, str]] = {}  # name -> (maker, part of the sentence)


def hostile(says: str) -> Callable[[Make], Make]:
    def keep(make: Make) -> Make:
        FILES[make.__name__] = make, says
        return make

    return keep


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: object, *args: object) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple:
        return self.function, self.args


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def pickled(folder: Path, value: object, protocol: int = 2) -> Path:
    return write(folder / "hostile.pkl", pickle.dumps(value, protocol))


def raw(folder: Path, *parts: bytes) -> Path:
    """A pickle of protocol 4 from its words."""
    return write(folder / "hostile.pkl", b"\x80\x04" + b"".join(parts) + b".")


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def torch_zip(
    folder: Path, data: bytes, parts: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED
) -> Path:
    path = folder / "hostile.pt"
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("archive/data.pkl", data)
        for part, content in (parts or {}).items():
            file.writestr(part, content)
    return path


def storage(numel: int, kind: str = "FloatStorage", key: str = "0") -> bytes:
    """A persistent id of torch's."""
    count = b"\x8a\x08" + struct.pack("<q", numel)
    return b"(" + text("storage") + name("torch", kind) + text(key) + text("cpu") + count + b"tQ"


def integer(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)


def tensor(held: bytes, offset: int, size: list[int], stride: list[int]) -> bytes:
    numbers = [b"(" + b"".join(map(integer, values)) + b"t" for values in (size, stride)]
    rest = integer(offset) + numbers[0] + numbers[1] + b"\x89" + name("collections", "OrderedDict") + b")R"
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + held + rest + b"tR"


def one_tensor(folder: Path, made: bytes, content: bytes = bytes(64)) -> Path:
    return torch_zip(folder, b"\x80\x02}" + text("weight") + made + b"s.", {"archive/data/0": content})


# --- things to run


@hostile("asks for 'posix.system'")
def os_system(folder: Path, canary: Path) -> Path:
    return pickled(folder, Call(os.system, f"touch {canary}"))


@hostile("asks for 'posix.system'")
def os_system_in_torch(folder: Path, canary: Path) -> Path:
    torch.save({"g_ema": {"w": Call(os.system, f"touch {canary}")}}, folder / "hostile.pt")
    return folder / "hostile.pt"


@hostile("asks for 'posix.system'")
def os_system_in_old_torch(folder: Path, canary: Path) -> Path:
    value = {"g_ema": {"w": Call(os.system, f"touch {canary}")}}
    torch.save(value, folder / "hostile.pt", _use_new_zipfile_serialization=False)
    return folder / "hostile.pt"


@hostile("asks for 'posix.system'")
def oldest_protocol(folder: Path, canary: Path) -> Path:
    return write(folder / "hostile.pkl", f"cposix\nsystem\n(S'touch {canary}'\ntR.".encode())


@hostile("no pickle, or one of a kind")
def oldest_protocols_instance(folder: Path, canary: Path) -> Path:
    return write(folder / "hostile.pkl", f"(S'touch {canary}'\nios\nsystem\n.".encode())


@hostile("asks for '__builtin__.getattr'")
def getattr_chain(folder: Path, canary: Path) -> Path:
    system = Call(getattr, Call(__import__, "os"), "system")
    return pickled(folder, Call(getattr, system, "__call__"))


@hostile("asks for '__builtin__.eval'")
def nested_reduce(folder: Path, canary: Path) -> Path:
    return pickled(folder, {"a": [({"b": Call(eval, f"open({str(canary)!r}, 'w')")},)]})


@hostile("asks for 'builtins.exec'")
def exec_by_stack(folder: Path, canary: Path) -> Path:
    return pickled(folder, Call(exec, f"open({str(canary)!r}, 'w')"), protocol=4)


@hostile("asks for 'torch._utils._rebuild_tensor_v2.__globals__'")
def dotted_path(folder: Path, canary: Path) -> Path:
    return raw(folder, text("torch._utils"), text("_rebuild_tensor_v2.__globals__"), b"\x93")


@hostile("asks for 'torch.serialization.load'")
def load_another_file(folder: Path, canary: Path) -> Path:
    inner = pickled(folder, Call(os.system, f"touch {canary}")).rename(folder / "inner.pkl")
    return pickled(folder, Call(torch.load, str(inner)))


@hostile("nothing of a kind that is known here")
def source_code_of_a_class(folder: Path, canary: Path) -> Path:
    """What NVIDIA's reconstructor would compile and run."""
    source = f"open({str(canary)!r}, 'w')\nclass Generator: pass"
    meta = {"type": "class", "version": 6, "module_src": source, "class_name": "Generator", "state": {}}
    call = name("torch_utils.persistence", "_reconstruct_persistent_obj") + pickle.dumps((meta,), 2)[2:-1] + b"R"
    return raw(folder, b"}", text("G_ema"), call, b"s")


@hostile("calls something that has no name")
def calling_a_tensor(folder: Path, canary: Path) -> Path:
    return one_tensor(folder, tensor(storage(16), 0, [4], [1]) + b")R")


@hostile("gives a state to a Name")
def state_for_a_class(folder: Path, canary: Path) -> Path:
    return raw(folder, name("collections", "OrderedDict"), b"}", text("__reduce__"), text("x"), b"s", b"b")


@hostile("asks for 'copyreg._reconstructor'")
def extension_and_copyreg(folder: Path, canary: Path) -> Path:
    return raw(folder, name("copyreg", "_reconstructor"), b")R")


@hostile("no pickle, or one of a kind")
def extension_code(folder: Path, canary: Path) -> Path:
    return raw(folder, b"\x82\x01")


@hostile("refers to something outside of itself")
def persistent_id_elsewhere(folder: Path, canary: Path) -> Path:
    return raw(folder, text(str(canary)), b"Q")


@hostile("is a TorchScript program")
def torchscript(folder: Path, canary: Path) -> Path:
    code = f"import os\nos.system('touch {canary}')\n".encode()
    parts = {"archive/constants.pkl": b"\x80\x02).", "archive/code/__torch__.py": code}
    return torch_zip(folder, b"\x80\x02c__torch__\nNet\n)\x81.", parts)


@hostile("asks for \"os\\nsystem")
def name_with_a_line_break(folder: Path, canary: Path) -> Path:
    return raw(folder, text("os\nsystem'"), text("\x1b[2Jx"), b"\x93")


# --- numbers that lie


@hostile("has an array of 'O8', not of numbers")
def numpy_objects(folder: Path, canary: Path) -> Path:
    array = np.empty(1, dtype=object)
    array[0] = Call(list)
    return pickled(folder, {"w": array})


@hostile("an array that lies about its size")
def numpy_size(folder: Path, canary: Path) -> Path:
    honest = pickle.dumps(np.zeros(7, dtype="f4"), 2)
    return write(folder / "hostile.pkl", honest.replace(b"K\x07\x85", b"J\xff\xff\xff\x7f\x85"))


@hostile("says that a tensor has 1099511627776 numbers, and holds 64 bytes")
def storage_size(folder: Path, canary: Path) -> Path:
    return one_tensor(folder, tensor(storage(1 << 40), 0, [4], [1]))


@hostile("has a tensor of no possible size")
def storage_size_negative(folder: Path, canary: Path) -> Path:
    return one_tensor(folder, tensor(storage(-16), 0, [4], [1]))


@hostile("describes tensors of more than four times its size")
def stride_nought(folder: Path, canary: Path) -> Path:
    return one_tensor(folder, tensor(storage(16), 0, [1 << 30], [0]))


@hostile("has a tensor of 2 numbers where the file holds 16")
def stride_beyond(folder: Path, canary: Path) -> Path:
    return one_tensor(folder, tensor(storage(16), 0, [2], [1 << 35]))


@hostile("has a tensor of no possible shape")
def offset_before(folder: Path, canary: Path) -> Path:
    return one_tensor(folder, tensor(storage(16), -4096, [4], [1]))


@hostile("has a tensor of more than")
def empty_and_endless(folder: Path, canary: Path) -> Path:
    return one_tensor(folder, tensor(storage(16), 0, [0, 1 << 39, 1 << 39], [1, 1, 1]))


@hostile("describes tensors of more than four times its size")
def many_views(folder: Path, canary: Path) -> Path:
    views = [text(f"w{i}") + tensor(storage(1 << 16), 0, [1 << 16], [1]) + b"s" for i in range(200)]
    return torch_zip(folder, b"\x80\x02}" + b"".join(views) + b".", {"archive/data/0": bytes(4 << 16)})


@hostile("is cut short, or lies about the size of a tensor")
def old_storage_size(folder: Path, canary: Path) -> Path:
    torch.save({"w": torch.zeros(7)}, folder / "hostile.pt", _use_new_zipfile_serialization=False)
    data = (folder / "hostile.pt").read_bytes()
    return write(folder / "hostile.pt", data[:-36] + struct.pack("<q", 1 << 40) + data[-28:])


@hostile("asks for 'torch.storage._load_from_bytes'")
def files_within_files(folder: Path, canary: Path) -> Path:
    def within(content: bytes) -> bytes:
        held = b"B" + struct.pack("<I", len(content)) + content
        return b"\x80\x04" + name("torch.storage", "_load_from_bytes") + held + b"\x85R."

    inner = io.BytesIO()
    torch.save(torch.zeros(1).untyped_storage(), inner, _use_new_zipfile_serialization=False)
    header = b"".join(pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    return write(folder / "hostile.pkl", within(header + within(header + within(inner.getvalue()))))


# --- memory and time


@hostile("is a compressed zip")
def zip_bomb(folder: Path, canary: Path) -> Path:
    return torch_zip(folder, b"\x80\x02}.", {"archive/data/0": bytes(200 << 20)}, zipfile.ZIP_DEFLATED)


@hostile("is a zip whose parts overlap")
def zip_overlap(folder: Path, canary: Path) -> Path:
    """A part that lies within another's content, as the densest zip bombs have it."""

    def head(name: bytes, size: int) -> bytes:
        return b"PK\x03\x04" + struct.pack("<5H3L2H", 20, 0, 0, 0, 0, 0, size, size, len(name), 0) + name

    def entry(name: bytes, size: int, local: int) -> bytes:
        sizes = struct.pack("<6H3L5H2L", 20, 20, 0, 0, 0, 0, 0, size, size, len(name), 0, 0, 0, 0, 0, local)
        return b"PK\x01\x02" + sizes + name

    pickle_, inner = b"archive/data.pkl", head(b"archive/data/1", 1000) + bytes(1000)
    first = head(pickle_, 3) + b"\x80\x02."
    outer = head(b"archive/data/0", len(inner))
    names = [
        (pickle_, 3, 0), (b"archive/data/0", len(inner), len(first)),
        (b"archive/data/1", 1000, len(first + outer)),
    ]
    directory, start = b"".join(entry(*name) for name in names), len(first + outer + inner)
    end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 3, 3, len(directory), start, 0)
    return write(folder / "hostile.pt", first + outer + inner + directory + end)


@hostile("is a damaged zip")
def zip_of_millions(folder: Path, canary: Path) -> Path:
    path = torch_zip(folder, b"\x80\x02}.")
    data = bytearray(path.read_bytes())
    data[-14:-10] = struct.pack("<2H", 0xFFFF, 0xFFFF)
    return write(path, bytes(data))


@hostile("takes more than 500000 steps")
def endless_words(folder: Path, canary: Path) -> Path:
    return raw(folder, b"N0" * 2_000_000)


@hostile("takes more than 500000 steps")
def copies_of_a_long_list(folder: Path, canary: Path) -> Path:
    """A list of 100,000 pairs, of which each call makes a dictionary."""
    pairs = b"](" + b"K\x01K\x02\x86" * 100_000 + b"e\x94"
    return raw(folder, pairs, (name("collections", "OrderedDict") + b"h\x00\x85R0") * 1000)


@hostile("holds more than 64 MiB of text")
def flood_of_text(folder: Path, canary: Path) -> Path:
    return raw(folder, text("x" * (65 << 20)))


@hostile("is cut short, or lies about the length")
def text_that_lies(folder: Path, canary: Path) -> Path:
    return raw(folder, b"\x8d" + struct.pack("<Q", 1 << 62))


@hostile("a whole number of 65536 bytes")
def giant_number(folder: Path, canary: Path) -> Path:
    return raw(folder, b"\x8b" + struct.pack("<i", 1 << 16) + b"\x01" * (1 << 16))


@hostile("refers back to what it does not hold")
def memo_bomb(folder: Path, canary: Path) -> Path:
    """Python's own unpickler makes room for 4,294,967,295 things here."""
    return raw(folder, b"Nr\xff\xff\xff\xff", b"j\xfe\xff\xff\xff")


@hostile("nests its contents more than 100 deep")
def deep_lists(folder: Path, canary: Path) -> Path:
    return raw(folder, b"]" * 200_000 + b"a" * 199_999)


@hostile("nests its contents more than 100 deep")
def deep_tuples(folder: Path, canary: Path) -> Path:
    return raw(folder, b")" + b"\x85" * 400_000)


@hostile("nests its contents more than 100 deep")
def deep_records(folder: Path, canary: Path) -> Path:
    return raw(folder, name("argparse", "Namespace"), b"\x94)R", b"h\x00)R\x86\x940" * 1, b"K\x01" + _chain(50_000))


def _chain(count: int) -> bytes:
    """A record within a record: h 0 is the class, and what was made last is its argument."""
    return b"".join(b"\x85\x94h\x00j" + struct.pack("<I", 2 + i) + b"R" for i in range(count))


@hostile("has a tuple for the key of a dictionary")
def deep_key(folder: Path, canary: Path) -> Path:
    """Hashing it recurses without end, in C."""
    return raw(folder, b"}", b")" + b"\x85" * 400_000, b"Ns")


@hostile("has a tuple for the key of a dictionary")
def laughing_key(folder: Path, canary: Path) -> Path:
    """Two of two of two ... of two: short to write, and 2**60 steps to hash."""
    return raw(folder, b"}", b")" + b"2\x86" * 60, b"Ns")


@hostile("nothing of a kind that is known here")
def laughing_lists(folder: Path, canary: Path) -> Path:
    return raw(folder, b"}", text("g_ema"), b"N" + b"2\x86" * 60, b"s")


@hostile("has an array of an unknown kind")
def laughing_type(folder: Path, canary: Path) -> Path:
    """To print it takes 2**60 steps too."""
    return raw(folder, name("numpy", "dtype"), b"N" + b"2\x86" * 60, b"\x85R")


@hostile("looks like NVIDIA StyleGAN3")
def laughing_module(folder: Path, canary: Path) -> Path:
    """In every place where NVIDIA's files have a value that is read."""
    laugh, reconstruct = b"h\x00", name("torch_utils.persistence", "_reconstruct_persistent_obj")

    def record(**state: bytes) -> bytes:
        inner = b"(" + b"".join(text(key) + value for key, value in state.items()) + b"d"
        return reconstruct + b"(" + text("class_name") + laugh + text("state") + inner + b"d\x85R"

    def table(**values: bytes) -> bytes:
        return b"(" + b"".join(text(key) + value for key, value in values.items()) + b"d"

    given = table(first_cutoff=laugh, margin_size=laugh, conv_clamp=laugh, synthesis_kwargs=table(num_critical=laugh))
    parts = table(input=record(_buffers=table(freqs=laugh)), L0_36_4=laugh)
    mapping = record(_parameters=table(w_avg=laugh), bias_gain=laugh)
    root = record(_init_kwargs=given, _modules=table(mapping=mapping, synthesis=record(_modules=parts)))
    return raw(folder, b"N" + b"2\x86" * 60 + b"\x940", b"}", text("G_ema"), root, b"s")


def _laughing(folder: Path, key: str) -> Path:
    """A dictionary of dictionaries of itself, under a key that formats look at."""
    chain = b"N\x94" + b"".join(
        b"(" + text("a") + b"j" + struct.pack("<I", i) + text(key) + b"j" + struct.pack("<I", i) + b"d\x94"
        for i in range(60)
    )
    return raw(folder, chain)


@hostile("nothing of a kind that is known here")
def laughing_dictionaries(folder: Path, canary: Path) -> Path:
    return _laughing(folder, "state_dict")


@hostile("nothing of a kind that is known here")
def wide_dictionaries(folder: Path, canary: Path) -> Path:
    """Four levels of 10,000 names each, all for the same next one: 10,000 ** 4 ways to the bottom."""
    inner = b"}" + text("end") + b"Ns"
    for _ in range(4):
        names = b"".join(text(f"n{i}") + b"j" + struct.pack("<I", 0) for i in range(10_000))
        inner = inner + b"r" + struct.pack("<I", 0) + b"0(" + names + b"d"
    return raw(folder, inner)


@hostile("nothing of a kind that is known here")
def laughing_gan(folder: Path, canary: Path) -> Path:
    return _laughing(folder, "GAN")


@hostile("nothing of a kind that is known here")
def list_of_itself(folder: Path, canary: Path) -> Path:
    return raw(folder, b"]\x94h\x00a")


@hostile("takes what it has not put down")
def stack_underflow(folder: Path, canary: Path) -> Path:
    return raw(folder, b"0000")


# --- files that are something else, or in the wrong place


@hostile("is cut short")
def half_a_download(folder: Path, canary: Path) -> Path:
    torch.save({"g_ema": {"w": torch.zeros(1000)}}, folder / "hostile.pt")
    return write(folder / "hostile.pt", (folder / "hostile.pt").read_bytes()[:3000])


@hostile("holds more behind its end")
def pickle_then_zip(folder: Path, canary: Path) -> Path:
    """A pickle to one program and a zip to another."""
    head = pickle.dumps({"a": 1}, 4)
    tail = torch_zip(folder, pickle.dumps(Call(os.system, f"touch {canary}"), 2)).read_bytes()
    return write(folder / "hostile.pkl", head + tail)


@hostile("no pickle, or one of a kind")
def picture_then_pickle(folder: Path, canary: Path) -> Path:
    return write(folder / "hostile.png", b"\x89PNG\r\n\x1a\n" + pickle.dumps(Call(os.system, f"touch {canary}"), 2))


@hostile("nothing of a kind that is known here")
def zip_with_paths(folder: Path, canary: Path) -> Path:
    """Names that would leave a folder, were they written to one."""
    outside = {f"../../{canary.name}": b"x", str(canary): b"x", "archive/../../" + canary.name: b"x"}
    return torch_zip(folder, b"\x80\x02}.", outside)


@hostile("nothing of a kind that is known here")
def zip_with_a_link(folder: Path, canary: Path) -> Path:
    path = torch_zip(folder, b"\x80\x02}.")
    with zipfile.ZipFile(path, "a") as file:
        link = zipfile.ZipInfo("archive/data/0")
        link.external_attr = 0o120777 << 16
        file.writestr(link, str(canary))
    return path


@hostile("is a zip with two parts named")
def zip_with_one_name_twice(folder: Path, canary: Path) -> Path:
    path = torch_zip(folder, b"\x80\x02}.", {"archive/data/0": b"a", "archive/data/1": b"b"})
    return write(path, path.read_bytes().replace(b"archive/data/1", b"archive/data/0"))


@hostile("there is no file")
def link_to_a_device(folder: Path, canary: Path) -> Path:
    (folder / "hostile.pkl").symlink_to("/dev/zero")
    return folder / "hostile.pkl"


@hostile("there is no file")
def link_to_itself(folder: Path, canary: Path) -> Path:
    (folder / "hostile.pkl").symlink_to(folder / "hostile.pkl")
    return folder / "hostile.pkl"


@hostile("there is no file")
def pipe(folder: Path, canary: Path) -> Path:
    os.mkfifo(folder / "hostile.pkl")
    return folder / "hostile.pkl"


@hostile("over the limit of 4.3")
def enormous(folder: Path, canary: Path) -> Path:
    with open(folder / "hostile.pkl", "wb") as file:
        file.truncate(6 << 30)  # without blocks on the disk
    return folder / "hostile.pkl"


@hostile("is empty")
def empty(folder: Path, canary: Path) -> Path:
    return write(folder / "hostile.pkl", b"")


@hostile("says that its header has")
def safetensors_header(folder: Path, canary: Path) -> Path:
    return write(folder / "hostile.safetensors", struct.pack("<Q", 1 << 60) + b'{"a":')


@hostile("says that its header has")
def safetensors_long_header(folder: Path, canary: Path) -> Path:
    header = b'{"__metadata__":{"a":"' + b"x" * (60 << 20) + b'"}}'
    return write(folder / "hostile.safetensors", struct.pack("<Q", len(header)) + header)


@hostile("is corrupt or no safetensors file")
def safetensors_beyond(folder: Path, canary: Path) -> Path:
    header = b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}'
    return write(folder / "hostile.safetensors", struct.pack("<Q", len(header)) + header + bytes(16))


@hostile("is corrupt or no safetensors file")
def safetensors_deep(folder: Path, canary: Path) -> Path:
    header = b'{"a":' + b"[" * 100_000
    return write(folder / "hostile.safetensors", struct.pack("<Q", len(header)) + header)


# --- weights that pretend to be a network


@hostile("looks like rosinality")
def absurd_shapes(folder: Path, canary: Path) -> Path:
    keys = (
        "style.1.weight", "input.input", "conv1.conv.modulation.weight", "to_rgb1.conv.weight", "conv1.conv.weight",
    )
    torch.save({"g_ema": {key: torch.zeros(()) for key in keys}}, folder / "hostile.pt")
    return folder / "hostile.pt"


@hostile("looks like rosinality")
def terabytes_of_settings(folder: Path, canary: Path) -> Path:
    """Shapes without numbers, which ask for a network of any size."""
    weights = {
        "style.1.weight": torch.zeros(8192, 0), "input.input": torch.zeros(1, 0, 4, 4),
        "conv1.conv.modulation.weight": torch.zeros(0, 8192), "to_rgb1.conv.weight": torch.zeros(1, 3, 0, 1, 1),
        "conv1.conv.weight": torch.zeros(1, 1 << 30, 0, 3, 3),
    }
    torch.save({"g_ema": weights}, folder / "hostile.pt")
    return folder / "hostile.pt"
