using Cloning.Disks;
using Cloning.Instances;
using Kvm.Interop;
using VirtioBlk.Store;
using VirtioBlk.Turns;

namespace Cloning.After;

/// <summary>
/// Keeps the chains of the system disks short while the guest runs: every background reboot leaves a layer behind, and each but
/// the lowest of ours is merged into the one below it. At rest a chain is base, one merged layer, active layer. Before anything is
/// merged, discarded disks that are to be kept are copied (<see cref="DiscardedDisks"/>).
/// </summary>
/// <remarks>
/// It works from <see cref="Resume"/> to <see cref="Pause"/>, on a thread of its own on left-over CPU and disk time. Nothing about
/// it has to be remembered: whatever a pause or a crash cuts off is found in the chain's length and done again.
/// </remarks>
/// <param name="chains">The disks.</param>
/// <param name="log">Told what goes wrong.</param>
internal sealed class ChainUpkeep(IDiskChains chains, InstanceLog log) : IDisposable
{
    /// <summary>Layers of a chain at rest.</summary>
    public const int RestDepth = 3;

    /// <summary>With so many layers no background reboot begins before they are merged: it would pause the merging and add another.</summary>
    public const int MaxDepth = 16;

    /// <summary>Space of the host that merging leaves free: the guest's own writes come first.</summary>
    public const long HeadroomBytes = 64L << 20;

    private const int StepsPerLook = 16;
    private const int LowestNice = 19, IoprioWhoProcess = 1, IoprioClassBestEffort = 2, IoprioClassIdle = 3, IoprioClassShift = 13;

    private readonly Lock _gate = new();
    private CancellationTokenSource? _stop;
    private bool _disposed;
    private volatile int _thread;
    private long _merged, _done;
    private volatile string? _problem;
    private TaskCompletionSource _kept = new();

    /// <summary>How long to wait after a failure before trying again.</summary>
    public TimeSpan RetryAfter { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>When it may use the host's disks; null: always.</summary>
    public IDiskTurns? Turns { get; init; }

    /// <summary>Ends when the chains are short, or with the next <see cref="Pause"/>.</summary>
    public Task Work { get; private set; } = Task.CompletedTask;

    /// <summary>Ends when no discarded disk waits to be copied any more, with the first failure, or with the next <see cref="Pause"/>.</summary>
    public Task Kept => _kept.Task;

    /// <summary>How far it is; null when there is nothing to do.</summary>
    public UpkeepStatus? Status
    {
        get
        {
            SystemDisk[] disks = chains.Disks;
            long left = disks.Sum(disk => Surplus(disk) * disk.Device.LengthBytes)
                + ((chains.Manifest.Kept?.Count ?? 0) * disks.Select(disk => disk.Device.LengthBytes).DefaultIfEmpty().Max());
            return left == 0 ? null
                : new UpkeepStatus(Volatile.Read(ref _merged) + Volatile.Read(ref _done), left - Volatile.Read(ref _done), _problem);
        }
    }

    /// <summary>Begins, or goes on.</summary>
    public void Resume()
    {
        lock (_gate)
        {
            if (_disposed || _stop is not null) return;
            _stop = new CancellationTokenSource();
            _kept = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            CancellationToken stop = _stop.Token;
            Work = Task.Factory.StartNew(() => Run(stop), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
    }

    /// <summary>Returns when every chain may get another layer: at once, but for one of <see cref="MaxDepth"/>, which becomes short first.</summary>
    /// <exception cref="InstanceException">It did not become short within the limit.</exception>
    public async Task MakeRoomAsync(TimeSpan limit, CancellationToken cancellation)
    {
        if (Depth < MaxDepth) return;
        try
        {
            await Work.WaitAsync(limit, cancellation).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            // One merge may have been enough.
        }

        if (Depth < MaxDepth) return;
        string problem = _problem is { } said ? $" ({said})" : "";
        throw new InstanceException($"a system disk has {Depth} layers, which have to be merged before a background reboot adds another{problem}");
    }

    /// <summary>
    /// Stops; the disks are the caller's alone when this returns. Waits at most for the copying of <see cref="LayerMerge.StepBytes"/>
    /// and for the host to write <see cref="LayerMerge.UnsyncedBytes"/>; at the very end of a merge, also what the guest has written to the
    /// top layer and not flushed.
    /// </summary>
    public void Pause()
    {
        lock (_gate)
        {
            if (_stop is null) return;
            _stop.Cancel();
            // Somebody waits now: left-over time is not enough any more. Without the privilege it keeps its niceness.
            if (_thread is > 0 and int thread) SetPriority(thread, nice: 0, IoprioClassBestEffort);
            Work.Wait();
            _stop.Dispose();
            _stop = null;
        }
    }

    /// <summary>Stops for good.</summary>
    public void Dispose()
    {
        Pause();
        lock (_gate) _disposed = true;
        _kept.TrySetResult();
    }

    private int Depth => chains.Disks.Select(disk => disk.Layers.Count).DefaultIfEmpty().Max();

    private static int Surplus(SystemDisk disk) => disk.IsReadOnly ? 0 : Math.Max(0, disk.Layers.Count - RestDepth);

    private static void SetPriority(int thread, int nice, int ioClass)
    {
        _ = Libc.SetNice(thread, nice);
        _ = Libc.ioprio_set(IoprioWhoProcess, thread, ioClass << IoprioClassShift);
    }

    /// <summary>
    /// Has a thread on left-over time do the work, and says on an ordinary one what is done: a thread that the pool starts for
    /// that would inherit the other's priority, and keep it.
    /// </summary>
    private void Run(CancellationToken stop)
    {
        using ManualResetEventSlim kept = new();
        Thread worker = new(() => RunOnLeftOverTime(kept, stop)) { Name = "upkeep", IsBackground = true };
        worker.Start();
        kept.Wait(CancellationToken.None);
        _kept.TrySetResult();
        worker.Join();
    }

    private void RunOnLeftOverTime(ManualResetEventSlim kept, CancellationToken stop)
    {
        int self = Libc.gettid();
        SetPriority(self, LowestNice, IoprioClassIdle);
        _thread = self;
        Volatile.Write(ref _merged, 0);
        try
        {
            while (!TryRun(kept, stop)) stop.WaitHandle.WaitOne(RetryAfter);
        }
        finally
        {
            _thread = 0;
            _problem = null;
            kept.Set();
        }
    }

    /// <summary>Merges until the chains are short or it is told to stop.</summary>
    /// <returns>False when it met an error, which may go away.</returns>
    private bool TryRun(ManualResetEventSlim kept, CancellationToken stop)
    {
        try
        {
            chains.Settle();
            while (chains.Manifest.Kept is [KeptDisk disk, ..])
                if (!KeepOne(disk, stop)) return true;
            kept.Set();
            for (int i = 0; i < chains.Disks.Length; i++)
                while (Surplus(chains.Disks[i]) > 0 && MergeOne(i, stop)) _problem = null;
            return true;
        }
        catch (Exception e)
        {
            _problem = e.Message;
            kept.Set();
            log.MergeFailed(e.Message, RetryAfter.TotalSeconds);
            return stop.IsCancellationRequested;
        }
        finally
        {
            Volatile.Write(ref _done, 0);
        }
    }

    /// <returns>False when it was told to stop before it was done.</returns>
    private bool KeepOne(KeptDisk kept, CancellationToken stop)
    {
        int step = 0;
        bool done = DiscardedDisks.TryCopy(chains.Directory.Layers, kept, copy =>
        {
            if (step++ % StepsPerLook == 0) RequireHeadroom(Path.GetDirectoryName(kept.File)!);
            Volatile.Write(ref _done, copy.DoneBytes);
            WaitForTurn();
            return !stop.IsCancellationRequested;
        });
        if (!done) return false;
        DiskManifest before = chains.Manifest;
        chains.Release(kept);
        Overlays.Delete(chains.Directory, before, keep: chains.Manifest);
        Advance(chains.Disks[0].Device.LengthBytes);
        return true;
    }

    /// <returns>False when it was told to stop before it was done.</returns>
    private bool MergeOne(int index, CancellationToken stop)
    {
        SystemDisk disk = chains.Disks[index];
        // Whatever came after a merge that the manifest did not take, that one is finished first. Another merge into the same layer would
        // write there what the merged one, which the manifest still has above it, hides.
        if (disk.Merged is null && !MergeBelowTop(disk, stop)) return false;
        // The manifest still names the merged layer, and may: the chain reads the same with it and without it. Its file goes last.
        Layer merged = disk.Merged!;
        chains.Shorten(index, disk.WithoutMerged());
        Advance(disk.Device.LengthBytes);
        File.Delete(Path.Combine(chains.Directory.Layers, merged.Path));
        return true;
    }

    /// <returns>False when it was told to stop before it was done.</returns>
    private bool MergeBelowTop(SystemDisk disk, CancellationToken stop)
    {
        using LayerMerge merge = disk.MergeBelowTop();
        for (int step = 0; ; step++)
        {
            WaitForTurn();
            if (stop.IsCancellationRequested) return false;
            if (step % StepsPerLook == 0) RequireHeadroom(chains.Directory.Layers);
            bool more = merge.Step();
            Volatile.Write(ref _done, merge.DoneBytes);
            if (!more) break;
        }

        merge.Complete().Dispose();
        return true;
    }

    /// <summary>For one step, which is short: nobody needs to know when it ends, nor can its time tell anything, since steps differ.</summary>
    private void WaitForTurn()
    {
        Turns?.Enter();
        Turns?.Leave();
    }

    private void Advance(long bytes)
    {
        Volatile.Write(ref _done, 0);
        Volatile.Write(ref _merged, _merged + bytes);
    }

    private static void RequireHeadroom(string directory)
    {
        long free = new DriveInfo(directory).AvailableFreeSpace;
        if (free < HeadroomBytes)
        {
            throw new IOException(
                $"only {free >> 20} MiB are free in {directory}; merging leaves {HeadroomBytes >> 20} MiB to the guest's writes");
        }
    }
}
