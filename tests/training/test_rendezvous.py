import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from pigan.errors import PiganError
from pigan.training.rendezvous import Place, count_devices, device_of, first_host, place_of, port_of, tasks_of

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ALONE = {"PATH": "/bin", "HOME": "/root"}
TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "gpu1",
    "MASTER_PORT": "29500",
}
# as srun sets them in the third of four tasks on two nodes, the first of the second node
SRUN = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "2",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "1",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    "SLURM_STEP_NODELIST": "gpu[007-008]",
}
names = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


def test_process_that_nobody_gave_a_place_is_alone():
    assert place_of(ALONE) is None


def test_batch_script_of_a_job_with_several_tasks_is_alone():
    batch = {"SLURM_JOB_ID": "4711", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    assert place_of(batch) is None
    # what Snakemake's executor and `srun -n 1` start
    assert place_of({**batch, "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1"}) is None


def test_place_from_torchrun():
    assert place_of({**ALONE, **TORCHRUN}) == Place(3, 4, 1, 2, "gpu1", 29500, "torchrun")


def test_place_from_srun():
    place = place_of(SRUN)
    assert place == Place(2, 4, 0, 2, "gpu007", 12000 + 4711, "srun") and not place.one_machine
    assert place_of({**SRUN, "MASTER_ADDR": "ib0", "MASTER_PORT": "5"}) == Place(2, 4, 0, 2, "ib0", 5, "srun")


def test_tasks_on_one_node_meet_on_its_loopback():
    one = {**SRUN, "SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_TASKS_PER_NODE": "4", "SLURM_NODEID": "0"}
    place = place_of({**one, "SLURM_LOCALID": "2", "SLURM_STEP_NODELIST": "gpu007"})
    assert place == Place(2, 4, 2, 4, "127.0.0.1", 16711, "srun") and place.one_machine


@pytest.mark.parametrize("base", [TORCHRUN, SRUN], ids=["torchrun", "srun"])
def test_half_a_place_is_refused_by_name(base):
    for name in base:
        if name in ("RANK", "WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
            # then nothing says that there are others
            assert place_of({key: value for key, value in base.items() if key != name}) is None
            continue
        with pytest.raises(PiganError, match=f"{name} is not set") as caught:
            place_of({key: value for key, value in base.items() if key != name})
        assert "\n" not in str(caught.value)
        if not name.endswith(("ADDR", "NODELIST")):
            with pytest.raises(PiganError, match=name):
                place_of({**base, name: "-x1"})


@pytest.mark.parametrize("port", ["0", "65536"])
def test_what_is_no_port_is_refused(port):
    with pytest.raises(PiganError, match="MASTER_PORT"):
        place_of({**TORCHRUN, "MASTER_PORT": port})


@pytest.mark.parametrize("rank", ["4", "40"])
def test_rank_beyond_the_last_is_refused(rank):
    with pytest.raises(PiganError, match="there is no such rank"):
        place_of({**TORCHRUN, "RANK": rank})


@given(st.dictionaries(st.sampled_from([*TORCHRUN, *SRUN]), st.text(max_size=6)))
def test_any_variables_give_a_place_or_one_line(changes):
    for base in (TORCHRUN, SRUN):
        found = place_or_error({**base, **changes})
        assert found is None or isinstance(found, Place) or len(found.splitlines()) == 1


def place_or_error(environment):
    try:
        return place_of(environment)
    except PiganError as error:
        return str(error)


@given(name=names, first=st.integers(0, 999), more=st.lists(st.integers(0, 999), max_size=3), width=st.integers(1, 4))
def test_first_host_of_a_bracketed_list(name, first, more, width):
    inside = ",".join([f"{first:0{width}}-{first + 5:0{width}}", *(f"{n:0{width}}" for n in more)])
    assert first_host(f"{name}[{inside}]") == f"{name}{first:0{width}}"
    assert first_host(f"{name}[{inside}],other[1-2]") == f"{name}{first:0{width}}"
    assert first_host(f"{name}[{inside}]-{name}[0-1].cluster") == f"{name}{first:0{width}}-{name}0.cluster"


@given(st.lists(names, min_size=1, max_size=4))
def test_first_host_of_a_plain_list(hosts):
    assert first_host(",".join(hosts)) == hosts[0]


@pytest.mark.parametrize("nodes", ["", ",a", "[", "gpu[", "gpu[a]", "gpu]1"])
def test_what_is_no_list_of_hosts_is_refused(nodes):
    with pytest.raises(PiganError, match="set MASTER_ADDR"):
        first_host(nodes)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4)), min_size=1, max_size=4))
def test_tasks_per_node_are_counted_through(groups):
    text = ",".join(f"{tasks}(x{nodes})" if nodes > 1 else str(tasks) for tasks, nodes in groups)
    counts = [tasks for tasks, nodes in groups for _ in range(nodes)]
    assert [tasks_of(text, node) for node in range(len(counts))] == counts
    with pytest.raises(PiganError, match="does not tell of node"):
        tasks_of(text, len(counts))


@given(st.integers(1, 2**31), st.integers(0, 1000), st.integers(0, 1000))
def test_ports_are_unprivileged_below_the_system_s_own_and_differ_between_steps(job, step, other):
    assume(step != other)
    assert 12000 <= port_of(job, step) < 32000
    assert port_of(job, step) != port_of(job, other)


@pytest.fixture
def four_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


def test_devices_that_are_counted(four_gpus):
    assert (count_devices("auto", CUDA, None), count_devices("auto", CPU, None)) == (4, 1)
    assert (count_devices(3, CUDA, None), count_devices(3, CPU, None)) == (3, 3)
    assert count_devices("auto", CUDA, place_of(TORCHRUN)) == count_devices(4, CUDA, place_of(SRUN)) == 4


def test_more_devices_than_there_are_are_refused(four_gpus):
    with pytest.raises(PiganError, match=r"training\.devices: 5, but PyTorch sees 4 here"):
        count_devices(5, CUDA, None)


def test_other_processes_than_devices_are_refused():
    with pytest.raises(PiganError, match=r"training\.devices: 2, but 4 processes were started"):
        count_devices(2, CPU, place_of(TORCHRUN))


def test_each_rank_takes_its_gpu(four_gpus, monkeypatch):
    place = place_of(TORCHRUN)
    assert device_of(CUDA, place) == torch.device("cuda", 1)
    assert device_of(CPU, place) == CPU and device_of(CUDA, None) == CUDA
    # srun --gpus-per-task=1 shows each task its own alone
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device_of(CUDA, place) == torch.device("cuda", 0)


def test_more_ranks_than_gpus_on_a_machine_are_refused(four_gpus):
    with pytest.raises(PiganError, match="start a process a GPU"):
        device_of(CUDA, Place(5, 6, 5, 6, "gpu1", 1, "torchrun"))
