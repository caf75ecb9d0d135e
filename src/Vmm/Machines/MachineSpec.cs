using Vmm.Devices;

namespace Vmm.Machines;

/// <summary>What a machine consists of, apart from its memory.</summary>
/// <param name="Cpus">Number of vCPUs, at least 1.</param>
/// <param name="Disks">Its disks in the guest's order, at most <see cref="PlatformMap.VirtioMaxDevices"/>.</param>
/// <param name="Console">Takes what the guest prints on its first serial port; called on vCPU threads.</param>
/// <param name="Channel">The same for its second serial port, or null: nobody listens.</param>
public sealed record MachineSpec(int Cpus, IReadOnlyList<DiskSlot> Disks, ISerialOutput Console, ISerialOutput? Channel = null);

