using System.Text.Json.Serialization;

namespace Cloning.Disks;

/// <summary>
/// Which layers each system disk consists of. The file on disk *is* the instance's state across crashes: replacing it
/// is the one commit point of a background reboot.
/// </summary>
/// <param name="Version">Of this format: 1.</param>
/// <param name="NextLayer">Number of the next layer file to be made; never used twice.</param>
/// <param name="Chains">A chain for each system disk, in the disks' order; base first, active layer last.</param>
/// <param name="Kept">Discarded chains that are still to be copied to where they are kept; null for none.</param>
public sealed record DiskManifest(
    int Version, int NextLayer, IReadOnlyList<IReadOnlyList<Layer>> Chains, IReadOnlyList<KeptDisk>? Kept = null)
{
    /// <summary>The format version this program writes and reads.</summary>
    public const int CurrentVersion = 1;

    /// <summary>Every layer that must stay.</summary>
    [JsonIgnore]
    public IEnumerable<Layer> AllLayers => Chains.Concat((Kept ?? []).Select(kept => kept.Layers)).SelectMany(chain => chain);
}
