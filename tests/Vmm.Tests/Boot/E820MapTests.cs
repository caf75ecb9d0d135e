using CowMemory;
using Vmm.Boot;
using Xunit;

namespace Vmm.Tests.Boot;

public sealed class E820MapTests
{
    private const ulong MiB = 1 << 20, GiB = 1 << 30;

    public static TheoryData<ulong, ulong, ulong> Sizes => new()
    {
        { 128 * MiB, 128 * MiB, 0 },
        { 512 * MiB, 512 * MiB, 0 },
        { 3 * GiB, 3 * GiB, 0 },
        { (3 * GiB) + 4096, 3 * GiB, 4096 },
        { 6 * GiB, 3 * GiB, 3 * GiB },
        { 1024 * GiB, 3 * GiB, 1021 * GiB },
    };

    [Theory]
    [MemberData(nameof(Sizes))]
    public void The_map_has_the_memory_on_both_sides_of_the_hole(ulong size, ulong lowEnd, ulong high)
    {
        List<E820Entry> expected =
        [
            new(0, 0x9_FC00, E820Type.Usable),
            new(0x9_FC00, 0x400, E820Type.Reserved),
            new(0xE_0000, 0x2_0000, E820Type.Reserved),
            new(0x10_0000, lowEnd - 0x10_0000, E820Type.Usable),
        ];
        if (high > 0) expected.Add(new E820Entry(4 * GiB, high, E820Type.Usable));
        Assert.Equal(expected, E820Map.For(new MemoryLayout(size)));
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Usable_ranges_are_memory_and_miss_only_what_lies_between_ebda_and_1_mib(
        ulong size, ulong lowEnd, ulong high)
    {
        MemoryLayout layout = new(size);
        ulong usable = 0;
        foreach (E820Entry entry in E820Map.For(layout).Where(entry => entry.Type == E820Type.Usable))
        {
            Assert.Contains(layout.Regions.ToArray(), region => region.Contains(new Gpa(entry.Start), entry.Length));
            usable += entry.Length;
        }

        Assert.Equal(lowEnd + high - (0x10_0000 - 0x9_FC00), usable);
    }

    [Fact]
    public void A_machine_without_memory_above_1_mib_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => E820Map.For(new MemoryLayout(1 * MiB)));
}
