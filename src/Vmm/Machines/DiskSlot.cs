using VirtioBlk;
using VirtioBlk.Turns;

namespace Vmm.Machines;

/// <summary>A disk as the guest sees it.</summary>
/// <param name="Backend">Where its bytes are; not owned by the machine.</param>
/// <param name="Serial">What it answers to GET_ID, at most 20 bytes: <c>/sys/block/vda/serial</c>.</param>
/// <param name="Turns">Asked before the host's disks are used; null: its turn is always.</param>
public sealed record DiskSlot(IBlockBackend Backend, string Serial, IDiskTurns? Turns = null);
