using Cloning.Instances;
using CowMemory;
using Vmm.Machines;

namespace Cloning.After;

/// <summary>
/// Brings an instance that sits on a private view of frozen memory (an aborted background reboot leaves it there) back onto one
/// shared file, while its guest runs: copy everything, copy again what was written meanwhile, and move over in a short pause.
/// </summary>
/// <remarks>
/// A guest that writes faster than this copies would never let it end. After a few rounds the copying is done in small pauses, which
/// double with every round, and with the guest's writing in between: that ends at the latest when one pause takes the whole set.
/// </remarks>
internal static class Reshare
{
    private const int FreeRounds = 4;
    private const long StretchPages = 4096; // 16 MiB: some milliseconds
    private const long FewPages = 256; // 1 MiB: copied in a few hundred microseconds

    /// <summary>After an abort: tries, and leaves it for the next fork where it does not work out.</summary>
    public static void AfterAbort(Instance instance)
    {
        if (instance.IsStopping) return; // not worth a copy of its memory
        try
        {
            Now(instance, CancellationToken.None);
        }
        catch (Exception e)
        {
            if (instance.IsStopping) return;
            // The instance runs on its private view just as well; the next background reboot tries again and reports.
            instance.Log.ReshareFailed(e);
        }
    }

    /// <summary>Does it, where it is needed.</summary>
    /// <param name="instance">The instance.</param>
    /// <param name="cancellation">Gives up the copying, as do a stop and the guest's end: the instance runs on its private view as before.</param>
    /// <exception cref="OperationCanceledException">It was given up.</exception>
    public static void Now(Instance instance, CancellationToken cancellation)
    {
        Machine from = instance.Machine;
        if (from.Memory.View == MemoryView.Shared || from.Exited.IsCompleted) return;
        Action mayGiveUp = () =>
        {
            cancellation.ThrowIfCancellationRequested();
            if (instance.IsStopping || from.Exited.IsCompleted) throw new OperationCanceledException("the guest has ended or is being stopped");
        };
        MemoryFile file = MemoryFile.Create($"bgkvm-{instance.Config.Name}", from.File.SizeBytes);
        Machine into = MachineBuilder.Build(instance.Host, instance.Config, file, MemoryView.Shared,
            instance.Disks, instance.PersistentDisks, instance.ConsoleHub, instance.DiskActivity);
        try
        {
            MachineState state = from.NewState();
            DirtyPages dirty = new(from.File.SizeBytes), scratch = new(from.File.SizeBytes);
            into.Rehearse(state);
            from.LogDirtyPages(true);
            PageCopy.All(from, into, instance.BackgroundTurns, mayGiveUp);
            for (int round = 0; ; round++)
            {
                mayGiveUp();
                from.CollectDirtyPages(dirty, scratch);
                long atOnce = FewPages << Math.Max(0, round - FreeRounds);
                if (dirty.Count <= atOnce) break;
                if (round < FreeRounds) CopyFreely(from, into, dirty, mayGiveUp);
                else CopySlowingDown(from, into, dirty, atOnce, mayGiveUp);
            }

            using (instance.ConsoleHub.HoldInput())
            {
                MachineMove.Run(from, into, state, whilePaused: () =>
                {
                    from.CollectDirtyPages(dirty, scratch);
                    PageCopy.Some(from, into, dirty, long.MaxValue);
                }, new Pause());
                instance.Adopt(into);
            }
        }
        catch
        {
            from.LogDirtyPages(false);
            into.Dispose();
            throw;
        }

        from.Dispose();
    }

    private static void CopyFreely(Machine from, Machine into, DirtyPages dirty, Action mayGiveUp)
    {
        do mayGiveUp();
        while (PageCopy.Some(from, into, dirty, StretchPages));
    }

    private static void CopySlowingDown(Machine from, Machine into, DirtyPages dirty, long atOnce, Action mayGiveUp)
    {
        bool more = true;
        while (more)
        {
            mayGiveUp(); // not while it is paused
            from.Pause();
            more = PageCopy.Some(from, into, dirty, atOnce);
            from.Run();
        }
    }
}
