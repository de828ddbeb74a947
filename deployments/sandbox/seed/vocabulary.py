"""Words for the names of made-up companies and people."""

FIRST = """
Acorn Alder Amber Anchor Apex Arrow Aspen Aurora Axis Bay Beacon Birch Blue Bolt Bright Brook Canyon Cedar
Cinder Clear Cliff Cloud Coast Cobalt Copper Coral Crest Crown Delta Drift Dune Eagle Echo Elm Ember Ever Fair
Falcon Fern Field Fjord Flint Forge Fox Garnet Glen Gold Granite Green Grove Harbor Hawk Hazel Heron Hill
Horizon Iron Ivory Ivy Jade Juniper Keel Lake Lark Laurel Ledge Lime Linden Lotus Lunar Maple Marble Meadow Mesa
Mint Moss North Nova Oak Ocean Olive Onyx Opal Orchard Otter Peak Pearl Pine Pioneer Plum Polar Prairie Quartz
Quill Raven Reed Ridge River Robin Rowan Ruby Sable Sage Salt Silver Slate Solar Spruce Star Stone Summit Swift
Tern Thistle Thorn Tide Timber Topaz Union Vale Velvet Verde Vine Violet Walnut Wave West Willow Wind Wren
Yarrow Zenith
""".split()  # noqa: SIM905 - read as prose, not as a column of quotes
SECOND = """
Analytics Apparel Automation Biotech Books Brands Builders Capital Chemicals Clinics Coffee Components
Consulting Dental Design Dynamics Electric Energy Engineering Farms Fabrication Foods Freight Furniture Games
Health Homes Hotels Imaging Insurance Interiors Labs Lighting Logistics Machinery Marine Media Metals Mobility
Motors Networks Optics Outfitters Packaging Paper Pharma Plastics Power Press Printing Properties Research
Robotics Schools Security Sensors Shipping Software Solutions Sports Studios Supply Systems Textiles Tools Toys
Trading Travel Ventures Works
""".split()  # noqa: SIM905 - read as prose, not as a column of quotes
SUFFIX = ("Inc.", "LLC", "Ltd.", "GmbH", "Group", "Co.", "", "", "")
GIVEN = """
Ana Ben Carla David Elena Finn Grace Hugo Ines Jonas Kira Liam Maya Noah Olga Paul Quinn Rosa Sam Tara Umar Vera
Will Xenia Yusuf Zoe Amir Bianca Chen Daria Emil Fatima Goran Hana Ivan Jana Kofi Lena Marco Nadia
""".split()  # noqa: SIM905 - read as prose, not as a column of quotes
FAMILY = """
Adler Baker Costa Diaz Evans Fischer Garcia Haas Ivanov Jensen Khan Lopez Meyer Novak Okafor Patel Quist Rossi
Sato Turner Ueda Vogel Wagner Xu Young Zimmer Abbott Brandt Clarke Duarte Ek Fabre Grant Hansen Iyer Jung Kovacs
Lind
""".split()  # noqa: SIM905 - read as prose, not as a column of quotes
TITLES = ("CEO", "CFO", "Head of Sales", "Buyer", "Office Manager", "CTO", "Owner", "Engineer", "Marketing Lead", "")
CITIES = (
    ("San Francisco", "CA", "US", "America/Los_Angeles"),
    ("Austin", "TX", "US", "America/Chicago"),
    ("New York", "NY", "US", "America/New_York"),
    ("London", "", "GB", "Europe/London"),
    ("Berlin", "", "DE", "Europe/Berlin"),
    ("Sydney", "NSW", "AU", "Australia/Sydney"),
)
# Names that a search for test leads must distinguish: companies, and test leads.
LOOKALIKES = ("Testudo Security", "Protestant Press", "Contest Media", "Attestor Legal")
TESTS = ("Test", "test@test.com", "ACME test lead")
