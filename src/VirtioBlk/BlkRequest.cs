using Kvm.Interop;

namespace VirtioBlk;

/// <summary>
/// A request, read from guest memory once and checked: whatever the guest changes afterwards, only the content of
/// <see cref="Data"/> is still its to change. Made once and filled again for another, so that no request allocates.
/// </summary>
/// <param name="queue">Where it comes from and is answered.</param>
internal sealed class BlkRequest(BlkQueue queue)
{
    private IoVec[] _vectors = new IoVec[4];
    private BlkRange[] _ranges = [];
    private int _vectorCount, _rangeCount;

    /// <summary>Where it comes from and is answered.</summary>
    public BlkQueue Queue => queue;

    /// <summary>Its name in the used ring.</summary>
    public ushort Head { get; private set; }

    /// <summary>What is asked for.</summary>
    public BlkRequestType Type { get; private set; }

    /// <summary>What is wrong with it, or Ok: only then it may be executed. Afterwards, how that went.</summary>
    public BlkStatus Status { get; set; }

    /// <summary>Whether <see cref="Status"/> is an error because the host failed.</summary>
    public bool HostFailed { get; set; }

    /// <summary>Where it begins on the disk, bytes. IN and OUT.</summary>
    public long Offset { get; private set; }

    /// <summary>The data: written by IN and GET_ID, read by OUT.</summary>
    public ReadOnlySpan<IoVec> Data => _vectors.AsSpan(0, _vectorCount);

    /// <summary>Bytes in <see cref="Data"/>.</summary>
    public uint DataLength { get; private set; }

    /// <summary>The ranges of DISCARD and WRITE_ZEROES.</summary>
    public ReadOnlySpan<BlkRange> Ranges => _ranges.AsSpan(0, _rangeCount);

    /// <summary>The status byte in guest memory.</summary>
    public IoVec StatusByte { get; private set; }

    /// <summary>Bytes the device may write, the status byte included.</summary>
    public uint WritableBytes { get; private set; }

    /// <summary>The next request of the same run: one that begins on the disk where this one ends.</summary>
    public BlkRequest? Follower { get; set; }

    /// <summary>The next run in the list that waits for a worker.</summary>
    public BlkRequest? NextWaiting { get; set; }

    /// <summary>Given to the workers, and nothing of it moves yet or any more: it can still be given back.</summary>
    public bool IsHanded { get; set; }

    /// <summary>Given back to its queue while a worker had it: no answer any more.</summary>
    public bool IsAbandoned { get; set; }

    /// <summary>Begins anew.</summary>
    public void Begin(ushort head, IoVec statusByte, uint writableBytes)
    {
        Head = head;
        StatusByte = statusByte;
        WritableBytes = writableBytes;
        Type = default;
        Offset = DataLength = 0;
        _vectorCount = _rangeCount = 0;
        Follower = NextWaiting = null;
        IsHanded = IsAbandoned = HostFailed = false;
    }

    /// <summary>Settles what it is and whether it may be executed.</summary>
    public void Judge(BlkRequestType type, BlkStatus status)
    {
        Type = type;
        Status = status;
    }

    /// <summary>Says which sectors IN and OUT mean.</summary>
    public void Locate(long offset, uint length)
    {
        Offset = offset;
        DataLength = length;
    }

    /// <summary>Room for vectors of <see cref="Data"/>.</summary>
    public Span<IoVec> Vectors(int most)
    {
        if (_vectors.Length < most) _vectors = new IoVec[Math.Max(most, 2 * _vectors.Length)];
        return _vectors;
    }

    /// <summary>How many of <see cref="Vectors"/> count.</summary>
    public void SetVectors(int count) => _vectorCount = count;

    /// <summary>Adds one of <see cref="Ranges"/>.</summary>
    public void Add(BlkRange range)
    {
        if (_ranges.Length == 0) _ranges = new BlkRange[BlkConfig.MaxRanges];
        _ranges[_rangeCount++] = range;
    }
}
