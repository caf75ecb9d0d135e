namespace Vmm.Boot;

/// <summary>What a machine boots: <see cref="LinuxBootConfig"/> or <see cref="FirmwareBootConfig"/>.</summary>
public abstract record BootSource;
