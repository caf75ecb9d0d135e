using Kvm.Interop;

namespace VirtioBlk;

/// <summary>
/// A request, read from guest memory once and checked: whatever the guest changes afterwards, only the content of
/// <see cref="Data"/> is still its to change. Valid until the reader reads the next.
/// </summary>
internal readonly ref struct BlkRequest
{
    /// <summary>What is asked for.</summary>
    public required BlkRequestType Type { get; init; }

    /// <summary>What is wrong with it, or Ok: only then it may be executed.</summary>
    public required BlkStatus Verdict { get; init; }

    /// <summary>Where it begins on the disk, bytes. IN and OUT.</summary>
    public long Offset { get; init; }

    /// <summary>The data: written by IN and GET_ID, read by OUT.</summary>
    public ReadOnlySpan<IoVec> Data { get; init; }

    /// <summary>Bytes in <see cref="Data"/>.</summary>
    public uint DataLength { get; init; }

    /// <summary>The ranges of DISCARD and WRITE_ZEROES.</summary>
    public ReadOnlySpan<BlkRange> Ranges { get; init; }

    /// <summary>The status byte.</summary>
    public required IoVec Status { get; init; }

    /// <summary>Bytes the device may write, the status byte included.</summary>
    public required uint WritableBytes { get; init; }
}
