using Cloning.Disks;
using Vmm.Machines;

namespace Cloning.Switch;

/// <summary>What a switch leaves behind.</summary>
/// <param name="Pause">The switch pause.</param>
/// <param name="OldMachine">The machine that was left, paused.</param>
/// <param name="OldDisks">Its disks: their top layers are what is discarded.</param>
/// <param name="OldManifest">The manifest that named them.</param>
internal sealed record SwitchResult(Pause Pause, Machine OldMachine, SystemDisk[] OldDisks, DiskManifest OldManifest);
