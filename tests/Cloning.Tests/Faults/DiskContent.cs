using System.Buffers.Binary;
using Cloning.Disks;
using Cloning.Instances;
using Kvm.Interop;
using VirtioBlk;
using VirtioBlk.Store;

namespace Cloning.Tests.Faults;

/// <summary>Which records of <see cref="TestInstance.Record"/> are on the disks of an instance that does not run.</summary>
internal sealed record DiskContent(DiskManifest Manifest, IReadOnlySet<ulong> System, IReadOnlySet<ulong> Persistent)
{
    /// <summary>Reads them through the manifest, as the next start does.</summary>
    public static DiskContent Of(InstanceDirectory directory, InstanceConfig config, ulong first, ulong last)
    {
        DiskManifest manifest = new ManifestFile(directory).Read();
        SystemDisk chain = SystemDisk.Open(directory.Layers, manifest.Chains[0]);
        using RawDisk persistent = RawDisk.Open(config.PersistentDisks[0].Path, readOnly: true);
        try
        {
            return new DiskContent(manifest, Read(chain.Device, first, last), Read(persistent, first, last));
        }
        finally
        {
            chain.Close();
        }
    }

    private static unsafe HashSet<ulong> Read(IBlockBackend disk, ulong first, ulong last)
    {
        const int sector = 512;
        HashSet<ulong> found = [];
        byte[] data = new byte[sector];
        for (ulong number = first; number <= last; number++)
        {
            // SAFETY: the disk writes into the array, which is fixed for the call.
            fixed (byte* start = data)
            {
                IoVec vector = new() { Base = (nint)start, Length = sector };
                disk.Read([vector], (long)number * sector);
            }

            ulong value = BinaryPrimitives.ReadUInt64LittleEndian(data);
            if (value == number) found.Add(number);
            else if (value != 0) throw new InvalidDataException($"sector {number} holds {value}");
        }

        return found;
    }
}
