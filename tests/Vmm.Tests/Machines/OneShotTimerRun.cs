using System.Diagnostics;
using System.Runtime.InteropServices;
using CowMemory;
using Kvm.Interop;
using TestKit.Guests;
using Vmm.Machines;

namespace Vmm.Tests.Machines;

/// <summary>
/// Moves a guest whose one-shot timer is always about to fire into a new machine, again and again, at random moments. The host's timer
/// behind it can be late, and then the count stands at zero before there is an interrupt.
/// </summary>
internal static class OneShotTimerRun
{
    private const uint TimerNanoseconds = 50_000;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20), s_longestSlice = TimeSpan.FromMicroseconds(400);

    /// <summary>Moves it.</summary>
    /// <param name="moves">How often.</param>
    /// <returns>How often the timer has fired.</returns>
    /// <exception cref="InvalidOperationException">The timer's interrupt was lost, or came twice.</exception>
    public static ulong Move(int moves)
    {
        using KvmHost host = KvmHost.Open();
        Machine machine = Start(host);
        try
        {
            machine.Run();
            for (int i = 0; i < moves; i++)
            {
                ulong fired = Read(machine, TimerGuest.Fired);
                Await(machine, fired, i);
                long end = Stopwatch.GetTimestamp() + Random.Shared.NextInt64((long)(s_longestSlice.TotalSeconds * Stopwatch.Frequency));
                while (Stopwatch.GetTimestamp() < end) Thread.SpinWait(10);
                Machine next = new(host, new MachineSpec(1, [], new TortureConsole()), machine.File.Duplicate(), MemoryView.Shared);
                MachineState state = machine.NewState();
                machine.Pause();
                machine.Save(state);
                next.Load(state);
                next.Run();
                machine.Dispose();
                machine = next;
            }

            return Read(machine, TimerGuest.Fired);
        }
        finally
        {
            machine.Dispose();
        }
    }

    private static Machine Start(KvmHost host)
    {
        Machine machine = new(host, new MachineSpec(1, [], new TortureConsole()), MemoryFile.Create("timer", TimerGuest.MemoryBytes), MemoryView.Shared);
        TimerGuest.Load(machine.Memory, TimerNanoseconds);
        MachineState state = machine.NewState();
        machine.Save(state);
        VcpuState vcpu = state.Vcpus[0];
        TimerGuest.Enter(ref MemoryMarshal.AsRef<KvmRegs>(vcpu.Regs.AsSpan()), ref MemoryMarshal.AsRef<KvmSregs>(vcpu.Sregs.AsSpan()));
        machine.Load(state);
        return machine;
    }

    private static void Await(Machine machine, ulong fired, int moves)
    {
        long start = Stopwatch.GetTimestamp();
        while (Read(machine, TimerGuest.Fired) == fired)
        {
            if (Stopwatch.GetElapsedTime(start) > s_patience)
                throw new InvalidOperationException($"after {moves} moves the timer does not fire: armed {Read(machine, TimerGuest.Armed)} times, fired {fired}");
            Thread.Yield();
        }

        if (Read(machine, TimerGuest.Twice) != 0) throw new InvalidOperationException($"after {moves} moves the timer fired twice");
    }

    private static ulong Read(Machine machine, Gpa address) => machine.Memory.TryLoad(address, out ulong value) ? value : 0;
}
