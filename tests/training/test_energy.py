import pytest
import torch

from fourier.training.energy import CounterMeter, PowerMeter, open_meter

CPU = torch.device("cpu")


def zone(root, name, energy, full=1_000_000_000):
    folder = root / name
    folder.mkdir(exist_ok=True)
    (folder / "energy_uj").write_text(f"{energy}\n")
    (folder / "max_energy_range_uj").write_text(f"{full}\n")
    return folder


def test_packages_are_added_up_and_their_parts_are_not_counted_again(tmp_path):
    for name in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"):
        zone(tmp_path, name, 5_000_000)
    meter = open_meter(CPU, tmp_path)
    for name in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"):
        zone(tmp_path, name, 7_500_000)
    meter.sample()
    assert meter.joules == pytest.approx(5.0)
    assert "RAPL" in meter.source


def test_a_counter_that_starts_again_from_nothing_goes_on(tmp_path):
    folder = zone(tmp_path, "intel-rapl:0", 999_000_000)
    meter = CounterMeter([folder])
    zone(tmp_path, "intel-rapl:0", 1_500_000)
    meter.sample()
    meter.sample()
    assert meter.joules == pytest.approx(2.5)


@pytest.mark.parametrize("content", [None, "", "no number"])
def test_a_device_that_does_not_tell_has_no_meter(content, tmp_path):
    if content is not None:
        zone(tmp_path, "intel-rapl:0", 0)
        (tmp_path / "intel-rapl:0" / "energy_uj").write_text(content)
    assert open_meter(CPU, tmp_path) is None
    assert open_meter(CPU, tmp_path / "nowhere") is None


def test_power_is_integrated_over_time():
    now = iter([0.0, 2.0, 3.0])
    power = iter([100.0, 200.0, 0.0])
    meter = PowerMeter(lambda: next(power), "test", lambda: next(now))
    meter.sample()
    assert meter.joules == pytest.approx(300.0)
    meter.sample()
    assert meter.joules == pytest.approx(400.0)


def test_a_report_that_is_metered_passes_on_what_it_is_told_and_says():
    ticks = iter([0.0, 1.0, 2.0])
    meter = PowerMeter(lambda: 10.0, "test", lambda: next(ticks))
    seen = []

    def report(epoch, metrics):
        seen.append((epoch, metrics))
        return epoch == 1

    metered = meter.through(report)
    assert [metered(0, {"a": 1.0}), metered(1, {"a": 2.0})] == [False, True]
    assert seen == [(0, {"a": 1.0}), (1, {"a": 2.0})]
    assert meter.joules == pytest.approx(20.0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_that_tells_its_power_spends_energy():
    pytest.importorskip("pynvml")
    device = torch.device("cuda")
    meter = open_meter(device)
    x = torch.randn(4096, 4096, device=device)
    for _ in range(50):
        x = x @ x / 64
    torch.cuda.synchronize()
    meter.sample()
    assert meter.joules > 0
