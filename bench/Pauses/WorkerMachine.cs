using System.Runtime.InteropServices;
using CowMemory;
using Kvm.Interop;
using TestKit.Guests;
using Vmm.Devices;
using Vmm.Machines;

namespace Pauses;

/// <summary>
/// A machine whose guest counts in ring 0: its first vCPU runs <see cref="GuestPrograms.Worker"/>, the others count and nothing else.
/// </summary>
internal sealed class WorkerMachine : IDisposable
{
    private const ushort Com1 = 0x3F8;
    // Only for a guest that hangs: software KVMs fill some hundred MiB a second.
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(3);
    private static readonly Gpa s_otherCode = new(0xA000); // between stack and code of the test kit's guests
    private readonly Answers _answers;
    private readonly GuestMailbox _mailbox;

    /// <summary>Builds it, paused and empty.</summary>
    /// <param name="host">The host's KVM.</param>
    /// <param name="cpus">Number of vCPUs.</param>
    /// <param name="file">Its memory.</param>
    /// <param name="view">How it maps that.</param>
    /// <param name="answering">Called on the first vCPU's thread while the guest answers a command, or null.</param>
    internal WorkerMachine(KvmHost host, int cpus, MemoryFile file, MemoryView view, Action? answering = null)
    {
        _answers = new Answers(answering);
        Machine = new Machine(host, new MachineSpec(cpus, [], _answers), file, view);
        _mailbox = new GuestMailbox(Machine.Memory);
    }

    internal Machine Machine { get; }

    /// <summary>Starts the guest in new memory and lets it write to every page.</summary>
    internal static WorkerMachine Started(KvmHost host, int cpus, ulong memoryBytes, Action? answering = null)
    {
        WorkerMachine made = new(host, cpus, MemoryFile.Create("downtime", memoryBytes), MemoryView.Shared, answering);
        try
        {
            GuestProgram program = GuestPrograms.Worker(made.Machine.Memory.Layout, port: Com1);
            program.Load(made.Machine.Memory);
            (KvmRegs regs, KvmSregs sregs) = made.Machine.ReadRegisters();
            program.Enter(ref regs, ref sregs);
            made.Machine.WriteRegisters(regs, sregs);
            made.StartOthers();
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
        Await(() => _mailbox.Counter != before);
        AwaitOthersCounting();
    }

    /// <summary>Asks the guest's first vCPU for something.</summary>
    internal void Post(WorkerCommand command) => _mailbox.Post(command);

    /// <summary>How far the first vCPU has counted.</summary>
    internal ulong Counter => _mailbox.Counter;

    /// <summary>Returns once all vCPUs but the first are seen to count.</summary>
    internal void AwaitOthersCounting()
    {
        for (int cpu = 1; cpu < Machine.Spec.Cpus; cpu++)
        {
            ulong count = OtherCounter(cpu);
            Await(() => OtherCounter(cpu) != count);
        }
    }

    /// <summary>How far the guest has counted, all its vCPUs together.</summary>
    internal ulong Counted
    {
        get
        {
            ulong sum = _mailbox.Counter;
            for (int cpu = 1; cpu < Machine.Spec.Cpus; cpu++) sum += OtherCounter(cpu);
            return sum;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Machine.Dispose();
        _answers.Dispose();
    }

    private static Gpa OtherCounterAt(int cpu) => GuestMap.Mailbox + (ulong)(0x100 + (cpu * 64));

    private ulong OtherCounter(int cpu) => Machine.Memory.TryLoad(OtherCounterAt(cpu), out ulong count) ? count : 0;

    private void Await(Func<bool> condition)
    {
        if (!SpinWait.SpinUntil(condition, s_patience)) throw new InvalidOperationException($"the guest does not run{Ending()}");
    }

    /// <summary>
    /// The other vCPUs would wait for an INIT and a SIPI. They begin as the first one does, runnable and in long mode, in a loop of
    /// their own, which counts where their RBP points.
    /// </summary>
    private void StartOthers()
    {
        if (Machine.Spec.Cpus == 1) return;
        byte[] loop = [0x48, 0xFF, 0x45, 0x00, 0xEB, 0xFA]; // again: inc qword [rbp+0]; jmp again
        loop.CopyTo(Machine.Memory.Write(s_otherCode, loop.Length));
        MachineState state = Machine.NewState();
        Machine.Save(state);
        for (int cpu = 1; cpu < Machine.Spec.Cpus; cpu++)
        {
            VcpuState other = state.Vcpus[cpu];
            MemoryMarshal.AsRef<KvmMpState>(other.MpState.AsSpan()).State = 0; // KVM_MP_STATE_RUNNABLE
            ulong apicBase = MemoryMarshal.AsRef<KvmSregs>(other.Sregs.AsSpan()).ApicBase;
            state.Vcpus[0].Regs.CopyTo(other.Regs, 0);
            state.Vcpus[0].Sregs.CopyTo(other.Sregs, 0);
            MemoryMarshal.AsRef<KvmSregs>(other.Sregs.AsSpan()).ApicBase = apicBase;
            ref KvmRegs regs = ref MemoryMarshal.AsRef<KvmRegs>(other.Regs.AsSpan());
            (regs.Rip, regs.Rbp) = (s_otherCode.Value, OtherCounterAt(cpu).Value);
        }

        Machine.Load(state);
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

    private sealed class Answers(Action? answering) : ISerialOutput, IDisposable
    {
        internal ManualResetEventSlim Any { get; } = new();

        public void Write(ReadOnlySpan<byte> bytes)
        {
            answering?.Invoke();
            Any.Set();
        }

        public void Dispose() => Any.Dispose();
    }
}
