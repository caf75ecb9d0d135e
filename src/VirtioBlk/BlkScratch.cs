using Kvm.Interop;

namespace VirtioBlk;

/// <summary>A thread's room for the vectors of a whole run.</summary>
internal sealed class BlkScratch
{
    /// <summary>Most vectors of a run: what one preadv takes (UIO_MAXIOV).</summary>
    public const int MaxVectors = 1024;

    private IoVec[]? _vectors;

    /// <summary>Room for any run.</summary>
    public Span<IoVec> Vectors => _vectors ??= new IoVec[MaxVectors];

    /// <summary>The vectors of all data of a run, in the order of the disk.</summary>
    public ReadOnlySpan<IoVec> Gather(BlkRequest run)
    {
        if (run.Follower is null) return run.Data;
        int count = 0;
        for (BlkRequest? request = run; request is not null; request = request.Follower)
        {
            request.Data.CopyTo(Vectors[count..]);
            count += request.Data.Length;
        }

        return Vectors[..count];
    }
}
