namespace TestKit.Guests.Torture;

/// <summary>How much of the processor the <see cref="TortureGuest"/> uses.</summary>
[Flags]
public enum TortureProfile
{
    /// <summary>What a software KVM emulates in ring 0.</summary>
    Basic = 0,
    /// <summary>x87, FXSAVE and RDTSCP, too.</summary>
    Fpu = 1,
    /// <summary>XCR0 and AVX, too.</summary>
    Avx = 2,
}
