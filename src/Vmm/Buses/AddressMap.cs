namespace Vmm.Buses;

/// <summary>
/// Ranges of addresses and their devices, sorted once and never changed: lookups need no lock and allocate nothing.
/// </summary>
internal sealed class AddressMap<TDevice> where TDevice : class
{
    private readonly Entry[] _entries;

    /// <param name="ranges">In any order.</param>
    /// <param name="highest">The last address there is.</param>
    /// <exception cref="ArgumentException">
    /// A range is empty, overlaps another, or ends above <paramref name="highest"/>.
    /// </exception>
    public AddressMap(IEnumerable<(ulong Start, ulong Length, TDevice Device)> ranges, ulong highest)
    {
        _entries = [.. ranges.OrderBy(r => r.Start).Select(r => new Entry(r.Start, r.Length, r.Device))];
        for (int i = 0; i < _entries.Length; i++)
        {
            (ulong start, ulong length, _) = _entries[i];
            if (length == 0) throw new ArgumentException($"The range at 0x{start:x} is empty", nameof(ranges));
            if (start > highest || length - 1 > highest - start)
                throw new ArgumentException($"The range at 0x{start:x} ends above 0x{highest:x}", nameof(ranges));
            if (i == 0) continue;
            (ulong other, ulong reach, _) = _entries[i - 1];
            if (start - other < reach)
                throw new ArgumentException($"The ranges at 0x{other:x} and 0x{start:x} overlap", nameof(ranges));
        }
    }

    /// <summary>Finds who answers an access. One that is only partly inside a range belongs to nobody.</summary>
    public TDevice? Find(ulong address, int length, out ulong offset)
    {
        int low = 0, high = _entries.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            ref readonly Entry entry = ref _entries[middle];
            offset = address - entry.Start;
            if (address < entry.Start) high = middle - 1;
            else if (offset >= entry.Length) low = middle + 1;
            else return (ulong)length <= entry.Length - offset ? entry.Device : null;
        }

        offset = 0;
        return null;
    }

    private readonly record struct Entry(ulong Start, ulong Length, TDevice Device);
}
