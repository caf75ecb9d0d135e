using Xunit;

namespace CowMemory.Tests;

public sealed class MemoryLayoutTests
{
    private const ulong Page = MemoryLayout.PageSize, GiB = 1UL << 30;

    [Theory]
    [InlineData(Page)]
    [InlineData(128UL << 20)]
    [InlineData(MemoryLayout.HoleStart)]
    public void Memory_up_to_the_hole_is_one_region(ulong size) =>
        Assert.Equal([new GuestRegion(new Gpa(0), size, 0)], new MemoryLayout(size).Regions.ToArray());

    [Theory]
    [InlineData(MemoryLayout.HoleStart + Page)]
    [InlineData(6 * GiB)]
    [InlineData(512 * GiB)]
    public void The_rest_goes_above_the_hole(ulong size) =>
        Assert.Equal(
            [
                new GuestRegion(new Gpa(0), 3 * GiB, 0),
                new GuestRegion(new Gpa(4 * GiB), size - (3 * GiB), 3 * GiB),
            ],
            new MemoryLayout(size).Regions.ToArray());

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(Page + 1)]
    [InlineData(ulong.MaxValue)]
    public void Memory_comes_in_whole_pages(ulong size) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new MemoryLayout(size));

    [Fact]
    public void An_address_does_not_wrap_around() =>
        Assert.Throws<OverflowException>(() => new Gpa(ulong.MaxValue) + 1);

    [Fact]
    public void An_address_prints_in_hexadecimal() => Assert.Equal("0xfee00000", new Gpa(0xFEE0_0000).ToString());
}
