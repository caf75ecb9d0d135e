using Cloning.Disks;
using Cloning.Instances;
using Cloning.Isolation;
using CowMemory;
using Kvm.Interop;
using VirtioBlk;
using VirtioBlk.Store;
using VirtioBlk.Turns;
using Vmm.Machines;

namespace Cloning.Shadow;

/// <summary>
/// The shadow: a process that takes the instance's state at the fork, shuts the old OS down, boots the new one on memory of its
/// own, and hands that machine over when it is ready. Nothing it does before its reset can be seen by anybody.
/// </summary>
public static class ShadowProcess
{
    /// <summary>The shadow's whole life.</summary>
    /// <param name="socketFd">Its end of the link, inherited.</param>
    /// <param name="serve">Serves the new OS's console at a path until disposed.</param>
    /// <returns>The process's exit status.</returns>
    public static int Run(int socketFd, Func<string, IConsole, IDisposable> serve)
    {
        SafeFd socket = new(socketFd);
        UnixSocket.KeepOnExec(socket, keep: false);
        using ShadowLink link = new(socket);
        try
        {
            using KvmHost host = KvmHost.Open();
            link.Send(new ShadowMessage.Hello(MachineState.CurrentVersion));
            List<SafeFd> descriptors = [];
            if (link.Receive(descriptors) is not ShadowMessage.Begin begin) return 1; // given up before the fork
            Task countsAsReady = ListenToInstance(link);
            link.Send(Reboot(host, begin, descriptors, countsAsReady, serve, (step, note) => link.Send(new ShadowMessage.Phase(step, note, GuestLog.LengthOf(begin.Log)))));
            return 0;
        }
        catch (Exception e)
        {
            TrySend(link, new ShadowMessage.Failed(e.Message, (e as ShadowException)?.LastLines));
            return 1;
        }
    }

    private static ShadowMessage.Ready Reboot(
        KvmHost host,
        ShadowMessage.Begin begin,
        List<SafeFd> descriptors,
        Task countsAsReady,
        Func<string, IConsole, IDisposable> serve,
        Action<RebootPhase, string?> enter)
    {
        ulong size = MachineBuilder.MemoryBytes(begin.Config);
        MemoryFile frozen = MemoryFile.Adopt(descriptors[0], size);
        MemoryFile fresh = MemoryFile.Adopt(descriptors[1], size);
        using DiskActivity foreground = DiskActivity.Adopt(descriptors[2]);
        using BackgroundTurns turns = new(foreground);
        using ConsoleHub console = new(begin.Log, startOver: true);
        SystemDisk[] disks = [.. begin.Chains.Select(chain => SystemDisk.Open(begin.Layers, chain))];

        enter(RebootPhase.ShutDown, null);
        string? note = ShutDown(host, begin, frozen, disks, console, foreground, turns);

        console.Drain(); // whoever looks at the log now sees where the old OS ends
        enter(RebootPhase.Reset, note);
        using Machine machine = MachineBuilder.Build(
            host, begin.Config, fresh, MemoryView.Shared, disks, MachineBuilder.Sealed(begin.Config), console, turns);
        console.Channel.BeginAnew(); // what the old OS said on its way out is not the new one's
        using BootWatch watch = BootWatch.For(begin.Config, console);
        machine.Boot(MachineBuilder.BootSource(begin.Config));
        console.Connect(machine);
        // For the ready command alone: nobody else has any business there.
        using IDisposable? served = begin.Config.ReadyCommand is null ? null : serve(begin.Console, console);

        enter(RebootPhase.Boot, null);
        machine.Run();
        using (MemoryRegulator.For(machine, foreground))
            Task.WaitAny(watch.Ready, watch.Failed, machine.Exited, countsAsReady);
        if (countsAsReady.IsCompleted) watch.CountAsReady();
        console.Connect(null);
        turns.Release();
        machine.Pause(patient: true);
        // What it printed before it ended may still be on its way here.
        console.Drain();
        if (machine.Exited.IsCompleted || !watch.IsReady)
        {
            throw new ShadowException(
                watch.Failure is { } failure
                    ? $"the rebooted OS {failure}"
                    : $"the rebooted OS ended before it was ready ({machine.Exited.Result.Detail})",
                lastLines: watch.LastLines);
        }

        MachineState state = machine.NewState();
        machine.Save(state);
        foreach (SystemDisk disk in disks) disk.Close();
        return new ShadowMessage.Ready(state, watch.LastLine, console.Channel.Announced);
    }

    /// <summary>Lets the old OS end in its own time, or not at all.</summary>
    /// <returns>What did not work out, or null.</returns>
    private static string? ShutDown(
        KvmHost host, ShadowMessage.Begin begin, MemoryFile frozen, SystemDisk[] disks, ConsoleHub console,
        DiskActivity foreground, BackgroundTurns turns)
    {
        string? note = null;
        List<IBlockBackend> persistent = [];
        // As much for all of them as the guest has memory: what it can have in its caches gets through.
        long discardedBytes = (long)MachineBuilder.MemoryBytes(begin.Config) / Math.Max(1, begin.Config.PersistentDisks.Count);
        foreach (DiskConfig disk in begin.Config.PersistentDisks)
            persistent.Add(new DiscardingDisk(RawDisk.Open(disk.Path, readOnly: true, DiskLock.None), discardedBytes));
        using (Machine machine = MachineBuilder.Build(
            host, begin.Config, frozen, MemoryView.Private, disks, persistent, console, turns))
        {
            if (begin.Shutdown == ShutdownMode.Clean)
            {
                // A ready command would ask the instance, not this one.
                using BootWatch watch = BootWatch.For(begin.Config with { ReadyCommand = null }, console);
                machine.Load(begin.State);
                machine.Run();
                using MemoryRegulator? regulator = MemoryRegulator.For(machine, foreground);
                note = PowerDown.Run(machine, console, begin.IsUp ? Task.CompletedTask : watch.Ready, begin.ShutdownTimeout, CancellationToken.None);
            }
        }

        foreach (IBlockBackend disk in persistent) disk.Dispose();
        return note;
    }

    /// <summary>A shadow must not outlive its instance: the link closing is the sign.</summary>
    /// <returns>Completes when the instance says that the OS counts as ready.</returns>
    private static Task ListenToInstance(ShadowLink link)
    {
        TaskCompletionSource countsAsReady = new(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() =>
        {
            try
            {
                while (link.Receive([]) is ShadowMessage.CountsAsReady) countsAsReady.TrySetResult();
            }
            catch (IOException)
            {
            }

            Libc._exit(1);
        })
        { IsBackground = true, Name = "link" }.Start();
        return countsAsReady.Task;
    }

    private static void TrySend(ShadowLink link, ShadowMessage message)
    {
        try
        {
            link.Send(message);
        }
        catch (IOException)
        {
            // Nobody is left to hear it.
        }
    }
}
