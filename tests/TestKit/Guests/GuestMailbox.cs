using CowMemory;

namespace TestKit.Guests;

/// <summary>
/// The host's end of a worker guest's mailbox (<see cref="GuestPrograms.Worker"/>), in guest memory at a fixed place.
/// </summary>
/// <param name="memory">The guest's memory.</param>
public sealed class GuestMailbox(GuestMemory memory)
{
    internal const uint CommandOffset = 0, SeedOffset = 8, ResultOffset = 16, CounterOffset = 24;

    /// <summary>How often the worker has gone round its loop: it counts whenever it does nothing else.</summary>
    public ulong Counter => Load(CounterOffset);

    /// <summary>What the last command found; valid once its byte has come out of the port.</summary>
    public ulong Result => Load(ResultOffset);

    /// <summary>Whether the worker has finished the last command.</summary>
    public bool Idle => Load(CommandOffset) == 0;

    /// <summary>Asks the worker for something. It answers with the command's byte on its port.</summary>
    /// <param name="command">What.</param>
    /// <param name="seed">For Fill and Check: what the pages hold (see <see cref="WorkerCommand"/>).</param>
    public void Post(WorkerCommand command, ulong seed = 0)
    {
        Store(SeedOffset, seed);
        // The command last: the guest looks at nothing else before it has seen that. x86 keeps the order of stores.
        Thread.MemoryBarrier();
        Store(CommandOffset, (ulong)command);
    }

    private ulong Load(uint offset) =>
        memory.TryLoad(GuestMap.Mailbox + offset, out ulong value)
            ? value
            : throw new GuestMemoryException(GuestMap.Mailbox + offset, sizeof(ulong));

    private void Store(uint offset, ulong value)
    {
        if (!memory.TryStore(GuestMap.Mailbox + offset, value))
            throw new GuestMemoryException(GuestMap.Mailbox + offset, sizeof(ulong));
    }
}
