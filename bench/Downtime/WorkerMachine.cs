using CowMemory;
using TestKit.Guests;
using Vmm.Devices;
using Vmm.Machines;

namespace Downtime;

/// <summary>A machine with one vCPU whose guest counts in ring 0 (<see cref="GuestPrograms.Worker"/>).</summary>
internal sealed class WorkerMachine : IDisposable
{
    private const ushort Com1 = 0x3F8;
    // Only for a guest that hangs: software KVMs fill some hundred MiB a second.
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(3);
    private readonly Answers _answers = new();
    private readonly GuestMailbox _mailbox;

    /// <summary>Builds it, paused and empty.</summary>
    internal WorkerMachine(KvmHost host, MemoryFile file, MemoryView view)
    {
        Machine = new Machine(host, new MachineSpec(1, [], _answers), file, view);
        _mailbox = new GuestMailbox(Machine.Memory);
    }

    internal Machine Machine { get; }

    /// <summary>Starts the guest in new memory and lets it write to every page.</summary>
    internal static WorkerMachine Started(KvmHost host, ulong memoryBytes)
    {
        WorkerMachine made = new(host, MemoryFile.Create("downtime", memoryBytes), MemoryView.Shared);
        try
        {
            GuestProgram program = GuestPrograms.Worker(made.Machine.Memory.Layout, port: Com1);
            program.Load(made.Machine.Memory);
            (Kvm.Interop.KvmRegs regs, Kvm.Interop.KvmSregs sregs) = made.Machine.ReadRegisters();
            program.Enter(ref regs, ref sregs);
            made.Machine.WriteRegisters(regs, sregs);
            made.Machine.Run();
            made.FillMemory();
            return made;
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }

    /// <summary>Returns once the guest is seen to count: it runs.</summary>
    internal void AwaitCounting()
    {
        ulong before = _mailbox.Counter;
        if (!SpinWait.SpinUntil(() => _mailbox.Counter != before, s_patience))
            throw new InvalidOperationException($"the guest does not run{Ending()}");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Machine.Dispose();
        _answers.Dispose();
    }

    private void FillMemory()
    {
        _mailbox.Post(WorkerCommand.Fill, seed: 1);
        if (!_answers.Any.Wait(s_patience)) throw new InvalidOperationException($"the guest did not fill its memory{Ending()}");
        ulong above1MiB = (Machine.Memory.Layout.SizeBytes - GuestMap.Free.Value) / MemoryLayout.PageSize;
        if (_mailbox.Result != above1MiB)
            throw new InvalidOperationException($"the guest filled {_mailbox.Result} pages of {above1MiB}");
    }

    private string Ending() => Machine.Exited.IsCompleted ? $": {Machine.Exited.Result}" : "";

    private sealed class Answers : ISerialOutput, IDisposable
    {
        internal ManualResetEventSlim Any { get; } = new();

        public void Write(ReadOnlySpan<byte> bytes) => Any.Set();
        public void Dispose() => Any.Dispose();
    }
}
