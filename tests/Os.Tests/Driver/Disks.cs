using Xunit;

namespace Os.Tests.Driver;

/// <summary>What QEMU and e2fsprogs think of an instance's disks. The instance must not run.</summary>
internal static class Disks
{
    /// <summary>Every layer is without errors.</summary>
    public static void AssertClean(Instance instance) => AssertCheck(instance, worst: 0);

    /// <summary>Every layer is without errors but perhaps for clusters that nobody uses: as a killed process leaves it.</summary>
    public static void AssertIntact(Instance instance) => AssertCheck(instance, worst: 3);

    /// <summary>Both file systems were left properly.</summary>
    public static void AssertUnmounted(Instance instance)
    {
        string flat = Path.Combine(Path.GetDirectoryName(instance.Kernel)!, "flat.img");
        CommandResult convert = Command.Run("qemu-img", "convert", "-O", "raw", instance.Layers[^1], flat);
        Assert.True(convert.ExitCode == 0, $"qemu-img convert: {convert.Errors}");
        foreach (string image in (string[])[flat, instance.PersistentDisk])
        {
            CommandResult check = Command.Run("e2fsck", "-fn", image);
            Assert.True(check.ExitCode == 0, $"e2fsck of {image} ended with {check.ExitCode}: {check.Output}{check.Errors}");
            // A file system that was not unmounted has a journal to be replayed, which -n skips, and says so.
            Assert.DoesNotContain("recover", check.Output + check.Errors, StringComparison.OrdinalIgnoreCase);
        }

        File.Delete(flat);
    }

    private static void AssertCheck(Instance instance, int worst)
    {
        Assert.NotEmpty(instance.Layers);
        foreach (string layer in instance.Layers)
        {
            CommandResult check = Command.Run("qemu-img", "check", "-f", "qcow2", layer);
            Assert.True(
                check.ExitCode == 0 || check.ExitCode == worst,
                $"qemu-img check of {layer} ended with {check.ExitCode}: {check.Output}{check.Errors}");
        }
    }
}
