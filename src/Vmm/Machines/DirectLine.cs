using Virtio;

namespace Vmm.Machines;

/// <summary>
/// An interrupt line of a machine whose device works on the vCPU's own thread: when <see cref="Raise"/> returns, the interrupt
/// controller has had the edge.
/// </summary>
/// <remarks>
/// An irqfd would do it later: KVM leaves lines of the IOAPIC to a kernel worker, which takes the processor away from the vCPU that has
/// raised one, for each batch of bytes it prints. For a device with threads of its own that is as good.
/// </remarks>
internal sealed class DirectLine(KvmVm vm, uint gsi) : IInterruptLine
{
    /// <inheritdoc/>
    /// <remarks>
    /// One at a time, which a device that raises it under its own lock sees to: what rises while another has not fallen yet is no edge.
    /// </remarks>
    public void Raise()
    {
        vm.SetInterrupt(gsi, high: true);
        vm.SetInterrupt(gsi, high: false);
    }
}
