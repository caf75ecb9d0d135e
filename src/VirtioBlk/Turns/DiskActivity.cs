using System.Diagnostics;
using CowMemory;
using Kvm.Interop;

namespace VirtioBlk.Turns;

/// <summary>
/// The foreground's use of the host's disks: how many requests are at work and when the last one ended, in a page that processes
/// share. Its own turns come at once. What they cost is two stores and a look at the clock; no system call.
/// </summary>
public sealed unsafe class DiskActivity : IDiskTurns, IDisposable
{
    private const ulong PageBytes = 4096;

    private readonly SafeMapping _mapping;
    private readonly Page* _page;

    private DiskActivity(MemoryFile file)
    {
        File = file;
        _mapping = SafeMapping.Map(file.Fd, (nuint)PageBytes, Libc.MAP_SHARED);
        // SAFETY: the mapping is a page, lives as long as this object, and all fields are plain numbers.
        _page = (Page*)_mapping.Address;
    }

    /// <summary>The page's file, for another process.</summary>
    public MemoryFile File { get; }

    /// <summary>
    /// How long the foreground must have been quiet before somebody else's turn comes: Idletime scheduling's preemption interval.
    /// Zero: only requests at work count. Negative: nothing does, everybody has the same right.
    /// </summary>
    public TimeSpan PreemptionInterval
    {
        get => new(Volatile.Read(ref _page->PreemptionTicks));
        set => Volatile.Write(ref _page->PreemptionTicks, value.Ticks);
    }

    /// <summary>Makes one, quiet.</summary>
    /// <exception cref="LibcException">The host refused the page.</exception>
    public static DiskActivity Create() => new(MemoryFile.Create("bgkvm-turns", PageBytes));

    /// <summary>The same one, in another process.</summary>
    /// <param name="fd">What came of <see cref="File"/>; owned from now on.</param>
    /// <exception cref="LibcException">It is something else.</exception>
    public static DiskActivity Adopt(SafeFd fd) => new(MemoryFile.Adopt(fd, PageBytes));

    /// <summary>Whether the foreground uses the disks, or did a moment ago.</summary>
    /// <param name="interval">What a moment is; <see cref="PreemptionInterval"/>.</param>
    public bool IsBusy(TimeSpan interval) => interval >= TimeSpan.Zero
        && (Volatile.Read(ref _page->InFlight) > 0
            // The clock is the machine's, not the process's. A turn that ended after it was read is one that ended just now.
            || (interval > TimeSpan.Zero && Stopwatch.GetElapsedTime(Volatile.Read(ref _page->LastEnd)) < interval));

    /// <inheritdoc/>
    public bool TryEnter()
    {
        Interlocked.Increment(ref _page->InFlight);
        return true;
    }

    /// <inheritdoc/>
    public long Enter() => Interlocked.Increment(ref _page->InFlight);

    /// <inheritdoc/>
    public void Leave()
    {
        Volatile.Write(ref _page->LastEnd, Stopwatch.GetTimestamp());
        Interlocked.Decrement(ref _page->InFlight);
    }

    /// <inheritdoc/>
    public void Leave(long entered, int kind) => Leave();

    /// <summary>Unmaps the page. No device uses it any more.</summary>
    public void Dispose()
    {
        _mapping.Dispose();
        File.Dispose();
    }

    private struct Page
    {
        public long InFlight, LastEnd, PreemptionTicks;
    }
}
