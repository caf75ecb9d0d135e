namespace Vmm.Boot;

/// <summary>What a range of a guest's memory map is for (ACPI 6.4 §15.1).</summary>
public enum E820Type : uint
{
    /// <summary>Memory the guest may use.</summary>
    Usable = 1,
    /// <summary>To be left alone.</summary>
    Reserved = 2,
}
