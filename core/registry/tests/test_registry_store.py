"""The local store: addressed by content, safe against kills, crowds and full disks."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from i2i_registry.checkpoints.tensor_files import read_tensors, write_tensors
from i2i_registry.errors import StoreError, UnknownName
from i2i_registry.interfaces.cards import WeightsDraft
from i2i_registry.weights.store import Store
from i2i_runtime.files.regular import sha256_of

TENSORS = {"net.w": torch.arange(6.0).reshape(2, 3)}
OTHERS = {"net.w": torch.zeros(2, 3)}


def test_what_was_added_comes_back(store: Store, draft: WeightsDraft) -> None:
    card = store.add(TENSORS, draft)
    found, path = store.get("mine")
    assert found == card
    assert (card.version, card.sha256, card.size) == (1, sha256_of(path), path.stat().st_size)
    torch.testing.assert_close(read_tensors(path), TENSORS, rtol=0, atol=0)


def test_a_file_is_stored_byte_for_byte(store: Store, draft: WeightsDraft, tmp_path: Path) -> None:
    write_tensors(TENSORS, tmp_path / "w.safetensors")
    card = store.add(tmp_path / "w.safetensors", draft)
    assert card.sha256 == sha256_of(tmp_path / "w.safetensors")


def test_versions_and_aliases_address_entries(store: Store, draft: WeightsDraft) -> None:
    store.add(TENSORS, draft, alias="best")
    store.add(OTHERS, draft)
    assert store.find("mine").version == 2
    assert store.find("mine@1").version == store.find("mine@best").version == 1
    with pytest.raises(UnknownName, match="did you mean 'best'"):
        store.find("mine@bets")
    with pytest.raises(UnknownName, match="did you mean 'mine'"):
        store.find("mini")


def test_the_same_bytes_under_the_same_name_are_one_version(store: Store, draft: WeightsDraft) -> None:
    assert store.add(TENSORS, draft) == store.add(TENSORS, draft)
    assert len(store.cards()) == 1


def test_removing_keeps_bytes_that_another_name_needs(store: Store, draft: WeightsDraft) -> None:
    store.add(TENSORS, draft, alias="best")
    twin = store.add(TENSORS, draft.model_copy(update={"name": "twin"}))
    store.remove("mine@best")
    assert store.names() == ("twin",)
    assert store.get("twin")[0] == twin
    store.remove("twin")
    assert not list(store.root.glob("blobs/*/*"))


def test_a_damaged_blob_is_noticed_and_repaired_by_adding_it_again(store: Store, draft: WeightsDraft) -> None:
    path = store.path_of(store.add(TENSORS, draft))
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(StoreError, match="sha256"):
        store.get("mine")
    store.add(TENSORS, draft)
    store.get("mine")


def test_a_damaged_card_does_not_hide_the_others(store: Store, draft: WeightsDraft) -> None:
    store.add(TENSORS, draft)
    store.add(OTHERS, draft)
    (store.root / "cards/mine/1.json").write_text("{")
    assert [card.version for card in store.cards()] == [2]
    assert len(store.damage()) == 1
    with pytest.raises(StoreError, match=r"1\.json"):
        store.find("mine@1")


@pytest.mark.parametrize("name", ["../mine", "mine/../../x", "", "Mine", "."])
def test_a_name_cannot_lead_out_of_the_store(store: Store, draft: WeightsDraft, name: str) -> None:
    store.add(TENSORS, draft)
    with pytest.raises(UnknownName):
        store.find(name)


def test_reading_an_absent_store_makes_nothing(store: Store) -> None:
    assert store.cards() == ()
    assert not store.root.exists()


def test_the_environment_says_where_the_store_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("I2I_HOME", str(tmp_path / "elsewhere"))
    assert Store.default().root == tmp_path / "elsewhere"
    monkeypatch.delenv("I2I_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    if sys.platform == "linux":
        assert Store.default().root == tmp_path / "data" / "i2i"


WRITER = """
import sys, torch
from pathlib import Path
from i2i_registry.interfaces.cards import WeightsDraft
from i2i_registry.weights.store import Store
root, draft, start, count, size = sys.argv[1:]
for number in range(int(start), int(start) + int(count)):
    tensors = {"net.w": torch.full((int(size),), float(number))}
    Store(Path(root)).add(tensors, WeightsDraft.model_validate_json(draft))
"""


def _writer(store: Store, draft: WeightsDraft, start: int, count: int, size: int) -> subprocess.Popen[bytes]:
    arguments = [str(store.root), draft.model_dump_json(), str(start), str(count), str(size)]
    return subprocess.Popen([sys.executable, "-c", WRITER, *arguments])


def test_two_processes_may_write_one_store(store: Store, draft: WeightsDraft) -> None:
    writers = [_writer(store, draft, start, 8, 4) for start in (0, 100)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert [card.version for card in store.cards()] == list(range(1, 17))
    numbers = {float(read_tensors(store.path_of(card))["net.w"][0]) for card in store.cards()}
    assert numbers == {float(number) for number in (*range(8), *range(100, 108))}


@pytest.mark.parametrize("moment", [0.02, 0.11, 0.23])
def test_a_killed_writer_leaves_a_whole_store(store: Store, draft: WeightsDraft, moment: float) -> None:
    writer = _writer(store, draft, 0, 10_000, 20_000)
    while not store.cards():
        assert writer.poll() is None
        time.sleep(0.005)
    time.sleep(moment)
    writer.send_signal(signal.SIGKILL)
    writer.wait(30)

    assert store.damage() == ()
    for card in store.cards():
        store.path_of(card)
    before = len(store.cards())
    store.add(OTHERS, draft)
    assert len(store.cards()) == before + 1
    assert not list(store.root.rglob("*.partial"))


KILLED_BEFORE_THE_CARD = """
import os, signal, sys, torch
from pathlib import Path
from i2i_registry.weights import store
from i2i_registry.interfaces.cards import WeightsDraft
store.Store._write_card = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
store.Store(Path(sys.argv[1])).add({"net.w": torch.ones(5)}, WeightsDraft.model_validate_json(sys.argv[2]))
"""


def test_weights_that_a_killed_writer_did_not_name_are_removed(store: Store, draft: WeightsDraft) -> None:
    store.add(TENSORS, draft)
    arguments = [str(store.root), draft.model_dump_json()]
    killed = subprocess.run([sys.executable, "-c", KILLED_BEFORE_THE_CARD, *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(store.root.glob("blobs/*/*.safetensors"))) == 2
    store.add(OTHERS, draft)
    assert sorted(path.stem for path in store.root.glob("blobs/*/*")) == sorted(card.sha256 for card in store.cards())


FULL_DISK = """
import resource, sys, torch
from pathlib import Path
from i2i_registry.interfaces.cards import WeightsDraft
from i2i_registry.errors import StoreError
from i2i_registry.weights.store import Store
store, draft = Store(Path(sys.argv[1])), WeightsDraft.model_validate_json(sys.argv[2])
store.add({"net.w": torch.ones(3)}, draft)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
source = {"net.w": torch.zeros(10000)} if sys.argv[3] == "tensors" else Path(sys.argv[4])
try:
    store.add(source, draft)
except StoreError as error:
    print(error.found)
"""


@pytest.mark.parametrize("source", ["tensors", "file"])
def test_a_full_disk_is_an_error_and_leaves_nothing_half_written(
    store: Store, draft: WeightsDraft, tmp_path: Path, source: str
) -> None:
    write_tensors({"net.w": torch.zeros(10000)}, tmp_path / "big.safetensors")
    arguments = [str(store.root), draft.model_dump_json(), source, str(tmp_path / "big.safetensors")]
    result = subprocess.run([sys.executable, "-c", FULL_DISK, *arguments], capture_output=True, text=True, check=True)
    assert "written" in result.stdout
    assert [card.version for card in store.cards()] == [1]
    assert len(list(store.root.glob("blobs/*/*"))) == 1
    assert not list(store.root.rglob("*.partial"))
