using CowMemory;

namespace Vmm.Boot;

/// <summary>The memory map a guest is given, by boot_params or by firmware.</summary>
public static class E820Map
{
    /// <summary>Describes a machine's memory.</summary>
    /// <param name="layout">The memory; its first region must be larger than 1 MiB.</param>
    /// <returns>The ranges, lowest first, without overlaps.</returns>
    public static IReadOnlyList<E820Entry> For(MemoryLayout layout)
    {
        GuestRegion low = layout.Regions[0];
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(low.Length, PlatformMap.AcpiTablesEnd, nameof(layout));
        List<E820Entry> map =
        [
            Range(0, PlatformMap.EbdaStart, E820Type.Usable),
            Range(PlatformMap.EbdaStart, PlatformMap.LowMemoryEnd, E820Type.Reserved),
            Range(PlatformMap.AcpiTablesStart, PlatformMap.AcpiTablesEnd, E820Type.Reserved),
            Range(PlatformMap.AcpiTablesEnd, low.Length, E820Type.Usable),
        ];
        foreach (GuestRegion high in layout.Regions[1..])
            map.Add(new E820Entry(high.Start.Value, high.Length, E820Type.Usable));
        return map;
    }

    /// <summary>
    /// The raw material for firmware, which takes its own share from it before it hands a map to an OS: memory, and what of the
    /// device hole looks free and is not.
    /// </summary>
    /// <param name="layout">The memory.</param>
    public static IReadOnlyList<E820Entry> ForFirmware(MemoryLayout layout)
    {
        List<E820Entry> map = [new E820Entry(PlatformMap.KvmPagesStart, PlatformMap.KvmPagesSize, E820Type.Reserved)];
        foreach (GuestRegion region in layout.Regions)
            map.Add(new E820Entry(region.Start.Value, region.Length, E820Type.Usable));
        return map;
    }

    private static E820Entry Range(ulong start, ulong end, E820Type type) => new(start, end - start, type);
}
