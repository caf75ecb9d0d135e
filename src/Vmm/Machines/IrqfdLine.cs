using Kvm.Interop;
using Virtio;

namespace Vmm.Machines;

/// <summary>An interrupt line of a machine: an irqfd, so that raising it is one write(2) from any thread.</summary>
internal sealed class IrqfdLine : IInterruptLine, IDisposable
{
    private readonly EventFd _event = EventFd.Create(nonBlocking: true);

    internal IrqfdLine(KvmVm vm, uint gsi)
    {
        try
        {
            vm.WireInterrupt(_event, gsi);
        }
        catch
        {
            _event.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Raise() => _event.Signal();

    public void Dispose() => _event.Dispose();
}
