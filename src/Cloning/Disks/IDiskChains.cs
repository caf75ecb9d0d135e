using Cloning.Instances;

namespace Cloning.Disks;

/// <summary>The chains of an instance's system disks, as <see cref="After.ChainUpkeep"/> sees them.</summary>
internal interface IDiskChains
{
    /// <summary>Where the layers are.</summary>
    InstanceDirectory Directory { get; }

    /// <summary>The system disks, in order.</summary>
    SystemDisk[] Disks { get; }

    /// <summary>What the manifest on disk says.</summary>
    DiskManifest Manifest { get; }

    /// <summary>Makes the manifest durable, if the host could not do that when it was replaced.</summary>
    void Settle();

    /// <summary>A kept disk has been copied, or given up: from now on the manifest, durably, names it no more.</summary>
    void Release(KeptDisk kept);

    /// <summary>A disk's chain has lost a layer that had been merged: from now on the manifest, durably, names it no more.</summary>
    /// <param name="index">Which disk.</param>
    /// <param name="disk">The disk without it.</param>
    void Shorten(int index, SystemDisk disk);
}
