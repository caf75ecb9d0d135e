using CowMemory;

namespace TestKit.Guests;

/// <summary>
/// Builds the page tables of a 64-bit test guest: 2 MiB pages, one to one, writable (Intel SDM vol. 3 §4.5).
/// </summary>
internal static class PageTables
{
    private const ulong PresentWritable = 0x3, LargePage = 0x80, GiB = 1UL << 30, LargePageSize = 2UL << 20;
    private const int EntriesPerTable = 512;

    /// <summary>Maps address 0 up to at least <paramref name="end"/>, and the first 4 GiB in any case.</summary>
    internal static void Write(GuestMemory memory, ulong end)
    {
        ulong gibibytes = Math.Max(4, (end + GiB - 1) / GiB);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(gibibytes, (ulong)EntriesPerTable, nameof(end));
        Gpa level4 = GuestMap.PageTables, level3 = level4 + MemoryLayout.PageSize;
        Store(memory, level4, 0, level3.Value | PresentWritable);
        for (ulong gib = 0; gib < gibibytes; gib++)
        {
            Gpa level2 = level3 + ((gib + 1) * MemoryLayout.PageSize);
            Store(memory, level3, gib, level2.Value | PresentWritable);
            for (ulong i = 0; i < EntriesPerTable; i++)
                Store(memory, level2, i, ((gib * GiB) + (i * LargePageSize)) | PresentWritable | LargePage);
        }
    }

    private static void Store(GuestMemory memory, Gpa table, ulong index, ulong entry)
    {
        Gpa address = table + (index * sizeof(ulong));
        if (!memory.TryStore(address, entry)) throw new GuestMemoryException(address, sizeof(ulong));
    }
}
