using Cloning.Instances;
using Xunit;

namespace Cloning.Tests;

/// <summary>What follows from a request where it says nothing.</summary>
public sealed class RebootRequestTests
{
    [Theory]
    [InlineData(300, null, 60)] // before systemd in the guest gives up waiting for something, which it does after 90 s
    [InlineData(40, null, 20)]
    [InlineData(300, 250, 250)]
    [InlineData(300, 5, 5)]
    public void A_shadow_is_raised_while_its_guest_has_patience(int timeout, int? maxDuration, int raisedAfter)
    {
        RebootRequest request = new(RebootMode.Background, ShutdownMode.Clean, QuiesceMode.Auto, TimeSpan.FromSeconds(timeout),
            MaxDuration: maxDuration is { } seconds ? TimeSpan.FromSeconds(seconds) : null);
        Assert.Equal(TimeSpan.FromSeconds(raisedAfter), request.Patience);
    }
}
