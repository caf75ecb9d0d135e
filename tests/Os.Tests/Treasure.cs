using Os.Tests.Driver;

namespace Os.Tests;

/// <summary>
/// Random content on the system disk, the persistent disk and in memory, with checksums: what a fork, an abort or a switch might damage.
/// </summary>
internal sealed class Treasure
{
    private readonly string _disks, _memory;

    private Treasure(string disks, string memory) => (_disks, _memory) = (disks, memory);

    /// <summary>Makes it: a mebibyte in each place, durable on the disks.</summary>
    public static Treasure Bury(Guest guest)
    {
        guest.Run("for place in /etc /data /tmp; do dd if=/dev/urandom of=$place/treasure bs=64k count=16 2>/dev/null; done; sync");
        return new Treasure(
            guest.Run("sha256sum /etc/treasure /data/treasure"), guest.Run("sha256sum /tmp/treasure"));
    }

    /// <summary>It is all there; for the system that made it.</summary>
    public void AssertAll(Guest guest)
    {
        AssertOnDisks(guest);
        Xunit.Assert.Equal(_memory, guest.Run("sha256sum /tmp/treasure"));
    }

    /// <summary>What the disks had is there, read from the disks.</summary>
    public void AssertOnDisks(Guest guest) => Xunit.Assert.Equal(
        _disks, guest.Run("sync; echo 3 >/proc/sys/vm/drop_caches; sha256sum /etc/treasure /data/treasure"));
}
