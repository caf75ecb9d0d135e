using System.Reflection;
using Xunit;

namespace Kvm.Interop.Tests;

/// <summary>Every ioctl in the table has a test that issues it on the real /dev/kvm.</summary>
public sealed class IoctlCoverageTests
{
    [Fact]
    public void Every_ioctl_has_a_test()
    {
        IEnumerable<string> tested = typeof(IoctlCoverageTests).Assembly.GetTypes()
            .SelectMany(t => t.GetMethods())
            .SelectMany(m => m.GetCustomAttributes<TraitAttribute>())
            .Where(t => t.Name == "ioctl")
            .Select(t => t.Value);
        Assert.Empty(typeof(KvmIoctls).GetFields().Select(f => f.Name).Except(tested));
    }
}
