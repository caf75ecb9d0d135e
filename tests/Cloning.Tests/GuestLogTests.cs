using Cloning.Instances;
using Xunit;

namespace Cloning.Tests;

public sealed class GuestLogTests
{
    [Fact]
    public void A_log_that_is_full_is_put_aside_and_begun_again()
    {
        string folder = Directory.CreateTempSubdirectory("bgkvm-log-").FullName;
        try
        {
            string path = Path.Combine(folder, "console.log");
            File.WriteAllText(path, "before,");
            using (GuestLog log = new(path, startOver: false, maxBytes: 20))
            {
                log.Append("one,"u8);
                Assert.Equal("before,one,", File.ReadAllText(path));
                log.Append("two two two,"u8);
                Assert.Equal("two two two,", File.ReadAllText(path));
                Assert.Equal("before,one,", File.ReadAllText(path + ".1"));
                log.Append("three three,"u8);
            }

            Assert.Equal("three three,", File.ReadAllText(path));
            Assert.Equal("two two two,", File.ReadAllText(path + ".1"));
            using (new GuestLog(path, startOver: true)) Assert.Equal("", File.ReadAllText(path));
            Assert.Equal(2, Directory.GetFiles(folder).Length);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
