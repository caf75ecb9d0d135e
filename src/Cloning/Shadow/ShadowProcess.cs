using Cloning.Disks;
using Cloning.Instances;
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
    /// <returns>The process's exit status.</returns>
    public static int Run(int socketFd)
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
            EndWithInstance(link);
            link.Send(Reboot(host, begin, descriptors, step => link.Send(new ShadowMessage.Phase(step))));
            return 0;
        }
        catch (Exception e)
        {
            TrySend(link, new ShadowMessage.Failed(e.Message));
            return 1;
        }
    }

    private static ShadowMessage.Ready Reboot(
        KvmHost host, ShadowMessage.Begin begin, List<SafeFd> descriptors, Action<RebootPhase> enter)
    {
        ulong size = MachineBuilder.MemoryBytes(begin.Config);
        MemoryFile frozen = MemoryFile.Adopt(descriptors[0], size);
        MemoryFile fresh = MemoryFile.Adopt(descriptors[1], size);
        using DiskActivity foreground = DiskActivity.Adopt(descriptors[2]);
        using BackgroundTurns turns = new(foreground);
        using ConsoleHub console = new(begin.Log, startOver: true);
        SystemDisk[] disks = [.. begin.Chains.Select(chain => SystemDisk.Open(begin.Layers, chain))];

        enter(RebootPhase.ShutDown);
        ShutDown(host, begin, frozen, disks, console, turns);

        enter(RebootPhase.Reset);
        using Machine machine = MachineBuilder.Build(
            host, begin.Config, fresh, MemoryView.Shared, disks, MachineBuilder.Sealed(begin.Config), console, turns);
        console.Channel.BeginAnew(); // what the old OS said on its way out is not the new one's
        using ReadyWatch watch = ReadyWatch.For(begin.Config, console);
        machine.Boot(MachineBuilder.BootSource(begin.Config));

        enter(RebootPhase.Boot);
        machine.Run();
        Task first = Task.WhenAny(watch.Ready, machine.Exited).GetAwaiter().GetResult();
        if (first == machine.Exited)
        {
            throw new ShadowException(
                $"the rebooted OS ended before it was ready ({machine.Exited.Result.Detail}); its last words: {LastWords.Of(watch.Tail)}");
        }

        turns.Release();
        machine.Pause();
        MachineState state = machine.NewState();
        machine.Save(state);
        foreach (SystemDisk disk in disks) disk.Close();
        return new ShadowMessage.Ready(state, watch.LastLine, console.Channel.Announced);
    }

    /// <summary>Lets the old OS end in its own time, or not at all.</summary>
    private static void ShutDown(
        KvmHost host, ShadowMessage.Begin begin, MemoryFile frozen, SystemDisk[] disks, ConsoleHub console, BackgroundTurns turns)
    {
        List<IBlockBackend> persistent = [];
        foreach (DiskConfig disk in begin.Config.PersistentDisks)
            persistent.Add(new DiscardingDisk(RawDisk.Open(disk.Path, readOnly: true, DiskLock.None)));
        using (Machine machine = MachineBuilder.Build(
            host, begin.Config, frozen, MemoryView.Private, disks, persistent, console, turns))
        {
            if (begin.Shutdown == ShutdownMode.Clean)
            {
                machine.Load(begin.State);
                machine.Run();
                machine.PressPowerButton();
                // Reset, power-off, triple fault or time-out: all of them end the old OS.
                machine.Exited.Wait(begin.ShutdownTimeout);
                machine.Pause();
            }
        }

        foreach (IBlockBackend disk in persistent) disk.Dispose();
    }

    /// <summary>A shadow must not outlive its instance: the link closing is the sign.</summary>
    private static void EndWithInstance(ShadowLink link) =>
        new Thread(() =>
        {
            try
            {
                link.Receive([]);
            }
            catch (IOException)
            {
            }

            Libc._exit(1);
        })
        { IsBackground = true, Name = "link" }.Start();

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
