namespace Vmm.Acpi;

/// <summary>What of a machine its ACPI tables depend on.</summary>
/// <param name="CpuCount">vCPUs, local APIC ids from 0: 1 to 254.</param>
/// <param name="VirtioDeviceCount">
/// virtio-mmio devices in the first windows: 0 to <see cref="PlatformMap.VirtioMaxDevices"/>.
/// </param>
public sealed record AcpiDescription(int CpuCount, int VirtioDeviceCount);
