namespace Vmm.Boot;

/// <summary>Firmware that finds an operating system on the machine's disks by itself. The file is read anew at every boot.</summary>
/// <param name="Path">A SeaBIOS image, such as Debian's bios-microvm.bin.</param>
public sealed record FirmwareBootConfig(string Path) : BootSource;
