using System.Buffers.Binary;
using System.Text;
using CowMemory;
using Vmm.Acpi;
using Vmm.Boot;
using Vmm.Devices;

namespace Vmm.Machines;

/// <summary>What firmware is told of a machine: the content of its <see cref="FwCfg"/>.</summary>
internal static class FirmwareItems
{
    // Numbered items that SeaBIOS reads (its src/fw/paravirt.c); all others are files.
    private const ushort NoGraphics = 0x04, CpuCount = 0x05, MaxCpuCount = 0x0F;
    private const int E820EntrySize = 20;

    /// <summary>Describes a machine.</summary>
    public static FwCfg Describe(MachineSpec spec, GuestMemory memory, AcpiTables tables)
    {
        byte[] cpus = BitConverter.GetBytes((ushort)spec.Cpus);
        return new FwCfg(
            memory,
            [(NoGraphics, BitConverter.GetBytes((ushort)1)), (CpuCount, cpus), (MaxCpuCount, cpus)],
            [
                ("etc/e820", E820(memory.Layout)),
                (TableLoader.TablesFile, tables.Tables.ToArray()),
                (TableLoader.RsdpFile, tables.Rsdp.ToArray()),
                ("etc/table-loader", TableLoader.Script(tables)),
                ("etc/sercon-port", BitConverter.GetBytes(PlatformMap.Com1Port)),
                ("bootorder", BootOrder(spec.Disks.Count)),
            ]);
    }

    private static byte[] E820(MemoryLayout layout)
    {
        IReadOnlyList<E820Entry> map = E820Map.ForFirmware(layout);
        byte[] content = new byte[map.Count * E820EntrySize];
        for (int i = 0; i < map.Count; i++)
        {
            Span<byte> entry = content.AsSpan(i * E820EntrySize);
            BinaryPrimitives.WriteUInt64LittleEndian(entry, map[i].Start);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], map[i].Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], (uint)map[i].Type);
        }

        return content;
    }

    /// <summary>The disks in their order, by Open Firmware paths, one a line and a zero at the end.</summary>
    private static byte[] BootOrder(int disks)
    {
        StringBuilder order = new();
        for (int i = 0; i < disks; i++)
            order.Append(provider: null, $"{(i > 0 ? "\n" : "")}/virtio-mmio@{PlatformMap.VirtioWindow(i):x16}/disk@0,0");
        return [.. Encoding.ASCII.GetBytes(order.ToString()), 0];
    }
}
