using Vmm.Devices;

namespace Vmm.Tests.Devices;

/// <summary>Counts what a guest asks for.</summary>
internal sealed class RecordingPower : IPowerControl
{
    public int Resets { get; private set; }

    public int PowerOffs { get; private set; }

    public void RequestReset() => Resets++;

    public void RequestPowerOff() => PowerOffs++;
}
